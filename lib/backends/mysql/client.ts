import type { Connection, ConnectionOptions, Pool } from 'mysql2';
import { explained, isConflict, isMissing, isRefusal } from './errors.js';

/** A pool of `mysql2` or of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(...rest: never[]): unknown;
  end(...rest: never[]): unknown;
}

/** A row as texts. */
export type Row = readonly (string | null)[];

/** The same on a connection of ours and of a pool: whatever options its owner gave it, values come as texts and rows as arrays. */
export function query(connection: Pick<Connection, 'query'>, sql: string): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => {
    const options = {
      sql,
      rowsAsArray: true,
      nestTables: false as const,
      typeCast: (field: { string(encoding?: BufferEncoding): string | null }) => field.string('utf8'),
    };
    connection.query(options, (error, answer: unknown) => (error ? reject(error) : resolve(rowsOf(answer))));
  });
}

/** A procedure answers with a list: its rows, and how it ended. */
function rowsOf(answer: unknown): readonly Row[] {
  if (!Array.isArray(answer)) return [];
  const [first] = answer as readonly unknown[];
  const called = answer.length > 1 && !Array.isArray(answer.at(-1));
  return (called ? first : answer) as readonly Row[];
}

/** How often a verb that lost against another transaction is sent again, at once. */
const CONFLICTS = 8;

/** Statements on connections of a pool, one each, and what it takes to open connections beside it. */
export class MysqlClient {
  readonly #pool: Pool;

  /** @param pool which is not ours to end */
  constructor(pool: MysqlPool) {
    this.#pool = corePool(pool);
  }

  /** The rows of a statement, or of a procedure. */
  async ask(sql: string): Promise<readonly Row[]> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await this.#ask(sql);
      } catch (error) {
        if (!isConflict(error) || conflicts >= CONFLICTS) throw explained(error);
      }
    }
  }

  /** Work that needs the same connection for several statements. */
  async on<T>(work: (query: (sql: string) => Promise<readonly Row[]>) => Promise<T>): Promise<T> {
    const connection = await this.#connection();
    try {
      const result = await work((sql) => query(connection, sql));
      connection.release();
      return result;
    } catch (error) {
      await this.#clear(connection, error);
      throw error;
    }
  }

  /** How to reach the same server beside the pool. */
  get settings(): ConnectionOptions {
    const config = (this.#pool.config as { readonly connectionConfig?: ConnectionOptions }).connectionConfig ?? {};
    return Object.fromEntries(SETTINGS.flatMap((name) => (config[name] === undefined ? [] : [[name, config[name]]])));
  }

  async #ask(sql: string): Promise<readonly Row[]> {
    const connection = await this.#connection();
    try {
      const rows = await query(connection, sql);
      connection.release();
      return rows;
    } catch (error) {
      await this.#clear(connection, error);
      throw error;
    }
  }

  #connection(): Promise<Parameters<Parameters<Pool['getConnection']>[0]>[1]> {
    return new Promise((resolve, reject) =>
      this.#pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection))),
    );
  }

  /**
   * A statement that was ended from outside, as by `max_statement_time`, leaves its transaction open with all its locks, and its
   * handlers are not run: whoever uses the connection next would keep the key locked.
   */
  async #clear(connection: Pick<Connection, 'query' | 'destroy'> & { release(): void }, error: unknown): Promise<void> {
    if (!isRefusal(error)) return connection.destroy();
    if (isMissing(error)) return connection.release();
    await query(connection, 'rollback').then(
      () => connection.release(),
      () => connection.destroy(),
    );
  }
}

/** What of a pool's configuration says where the server is and who asks. */
const SETTINGS = [
  'host',
  'port',
  'socketPath',
  'localAddress',
  'user',
  'password',
  'password2',
  'password3',
  'passwordSha1',
  'database',
  'ssl',
  'authPlugins',
  'authSwitchHandler',
  'insecureAuth',
  'enableCleartextPlugin',
  'stream',
  'compress',
  'disableEval',
] as const satisfies readonly (
  | keyof ConnectionOptions
  | 'enableCleartextPlugin'
)[] as readonly (keyof ConnectionOptions)[];

/** The pool that takes callbacks, which is under the one that gives promises. */
function corePool(pool: MysqlPool): Pool {
  const inner: unknown = Reflect.get(pool, 'pool');
  return (inner ?? pool) as Pool; // `isMysqlPool` has looked
}

/** Whether this is a pool of `mysql2`, whichever copy of it and of its two sorts. */
export function isMysqlPool(pool: unknown): pool is MysqlPool {
  if (typeof pool !== 'object' || pool === null) return false;
  const core: unknown = Reflect.get(pool, 'pool') ?? pool;
  if (typeof core !== 'object' || core === null) return false;
  const config: unknown = Reflect.get(core, 'config');
  return (
    typeof Reflect.get(core, 'getConnection') === 'function' &&
    typeof config === 'object' &&
    config !== null &&
    typeof Reflect.get(config, 'connectionConfig') === 'object'
  );
}
