import { createHash } from 'node:crypto';
import { explained, isMissing, isNotPrepared, isSerialization } from './errors.js';
import type { Installation } from './installation.js';
import type { PostgresPool, Statement } from './pool.js';
import { identifier } from './schema/index.js';

/** How often a statement is sent again that the server rolled back because of others at the same time. */
const MOST_REPEATS = 20;

/** The functions that answer with more than one column, and what to ask them for. */
const COLUMNS: Readonly<Record<string, string>> = { list_v1: 'keys, next', sweep_v1: 'next, seen' };

/**
 * Calls our functions, each in one statement and one transaction, so that it does not matter which connection of a pool, or of a
 * pooler behind it, has it.
 */
export class Statements {
  readonly #calls = new Map<string, Call>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #prepared: boolean;

  /**
   * @param most how many may be under way at a time; the others of a pool are for the application
   * @param prepared whether the server prepares each once for each connection; `undefined`: once it is known that no pooler is in between
   */
  constructor(
    private readonly pool: PostgresPool,
    private readonly installation: Installation,
    private readonly schema: string,
    private readonly most: number,
    private readonly prepared: boolean | undefined,
  ) {
    this.#prepared = prepared ?? false;
  }

  /** No pooler is in between that could give a statement to a connection which has not prepared it. */
  direct(): void {
    this.#prepared = this.prepared ?? true;
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** The one value that the function answers with, or its columns where `COLUMNS` names them. */
  async call(verb: string, values: readonly unknown[]): Promise<unknown> {
    const { text, name } = this.#callOf(verb, values.length);
    const statement: Statement = { text, values: [...values], rowMode: 'array' };
    const [row] = await this.#run(statement, name);
    if (!Array.isArray(row)) throw new TypeError(`PostgreSQL answered ${verb} with no row; is a proxy in between?`);
    return verb in COLUMNS ? row : row[0];
  }

  /** Tells whoever listens. */
  async notify(channel: string, payload: string): Promise<void> {
    await this.#sent({ text: 'select pg_notify($1, $2)', values: [channel, payload], rowMode: 'array' });
  }

  /** Resolves when the server answers and has what is needed. */
  async ping(): Promise<void> {
    try {
      await this.installation.look();
    } catch (error) {
      throw explained(error, this.schema);
    }
  }

  async #run(statement: Statement, name: string): Promise<readonly unknown[]> {
    try {
      if (!this.installation.done) await this.installation.ensure();
      return await this.#repeated(statement, name);
    } catch (error) {
      // Gone since, as on a server that lost its data: they are made anew, once.
      if (!isMissing(error)) throw explained(error, this.schema);
    }
    try {
      this.installation.forget();
      await this.installation.ensure();
      return await this.#repeated(statement, name);
    } catch (error) {
      throw explained(error, this.schema);
    }
  }

  /** Where transactions are serializable or repeatable reads, those at one key refuse each other; what was refused was not done. */
  async #repeated(statement: Statement, name: string): Promise<readonly unknown[]> {
    for (let repeats = 0; ; repeats++) {
      const prepared = this.#prepared;
      try {
        return await this.#sent(prepared ? { ...statement, name } : statement);
      } catch (error) {
        // Somebody discards what connections of the pool have prepared, or a pooler came in between.
        const unnamed = prepared && isNotPrepared(error);
        if (unnamed) this.#prepared = false;
        else if (repeats >= MOST_REPEATS || !isSerialization(error)) throw error;
      }
    }
  }

  async #sent(statement: Statement): Promise<readonly unknown[]> {
    if (this.#running >= this.most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return (await this.pool.query(statement)).rows;
    } finally {
      // Whoever waits takes this one's place.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  #callOf(verb: string, count: number): Call {
    let call = this.#calls.get(verb);
    if (call === undefined) {
      const place = Array.from({ length: count }, (_, i) => `$${i + 1}`).join(', ');
      const asked = `${identifier(this.schema)}.${verb}(${place})`;
      const columns = COLUMNS[verb];
      const text = columns === undefined ? `select ${asked}` : `select ${columns} from ${asked}`;
      // Of the whole text: several schemas may be over one pool.
      call = { text, name: `lock_${createHash('sha256').update(text).digest('base64url').slice(0, 22)}` };
      this.#calls.set(verb, call);
    }
    return call;
  }
}

/** How a function is called, and the name that the server prepares this under. */
interface Call {
  readonly text: string;
  readonly name: string;
}
