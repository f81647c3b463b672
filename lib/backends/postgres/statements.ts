import { explained, isMissing, isSerialization } from './errors.js';
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
  readonly #texts = new Map<string, string>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /**
   * @param most how many may be under way at a time; the others of a pool are for the application
   * @param prepared whether the server prepares each once for each connection
   */
  constructor(
    private readonly pool: PostgresPool,
    private readonly installation: Installation,
    private readonly schema: string,
    private readonly most: number,
    private readonly prepared: boolean,
  ) {}

  /** Whether nothing is under way. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** The one value that the function answers with, or its columns where `COLUMNS` names them. */
  async call(verb: string, values: readonly unknown[]): Promise<unknown> {
    const text = this.#textOf(verb, values.length);
    const statement: Statement = { text, values: [...values], rowMode: 'array' };
    const rows = await this.#run(this.prepared ? { ...statement, name: `lock_${verb}` } : statement);
    const [row] = rows;
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

  async #run(statement: Statement): Promise<readonly unknown[]> {
    try {
      if (!this.installation.done) await this.installation.ensure();
      return await this.#repeated(statement);
    } catch (error) {
      // Gone since, as on a server that lost its data: they are made anew, once.
      if (!isMissing(error)) throw explained(error, this.schema);
    }
    try {
      this.installation.forget();
      await this.installation.ensure();
      return await this.#repeated(statement);
    } catch (error) {
      throw explained(error, this.schema);
    }
  }

  /** Where transactions are serializable or repeatable reads, those at one key refuse each other; what was refused was not done. */
  async #repeated(statement: Statement): Promise<readonly unknown[]> {
    for (let repeats = 0; ; repeats++) {
      try {
        return await this.#sent(statement);
      } catch (error) {
        if (repeats >= MOST_REPEATS || !isSerialization(error)) throw error;
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

  #textOf(verb: string, count: number): string {
    let text = this.#texts.get(verb);
    if (text === undefined) {
      const call = `${identifier(this.schema)}.${verb}(${Array.from({ length: count }, (_, i) => `$${i + 1}`).join(', ')})`;
      const columns = COLUMNS[verb];
      text = columns === undefined ? `select ${call}` : `select ${columns} from ${call}`;
      this.#texts.set(verb, text);
    }
    return text;
  }
}
