import type { Connection } from 'mysql2';
import { query, type Row } from './client.js';
import { isConflict, isEnded, isInterrupted, isRefusal } from './errors.js';
import { type Names, nameOf } from './schema/index.js';
import { literal } from './values.js';

/** How long the inbox waits in the server at most, in seconds. */
const SLEEP_S = 20;
/** How often the idle connection is heard of, and how long the server keeps it otherwise. */
const HEARTBEAT_MS = 20_000;
const SILENCE_S = 60;
/** An answer that takes longer than it must by so much never comes. */
const PATIENCE_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** Where the inbox cannot be, as too many connections are open or a proxy is in between: how soon to try again. */
const DEAF_PAUSE_MS = 30_000;

/** Opens one more connection to the server of the pool. */
export type Open = () => Connection;

/** What a listener tells. */
export interface Listening {
  /** Messages of one look, in the order of the server. */
  received(messages: readonly string[]): void;
  /** It stands, again: what was said before has been received, but the server may have passed over whoever waits here. */
  up(): void;
  /** It does not stand now. `refusal`: nor will it soon, and those who wait have to ask by themselves. */
  down(refusal?: Error): void;
}

/**
 * The ear of one process: two connections beside the pool. One waits in the server and is woken when there is something to be told;
 * the other one does nothing, and the server knows that the process lives by it: of one that sleeps in a statement it notices only after
 * seconds that its client is gone.
 */
export class Listener {
  #connections: Connection[] = [];
  #timer: NodeJS.Timeout | undefined;
  #pause = FIRST_PAUSE_MS;
  #closed = false;

  /** @param ask runs a statement on the pool, the way that others reach this process */
  constructor(
    private readonly instance: string,
    private readonly names: Names,
    private readonly open: Open,
    private readonly ask: (sql: string) => Promise<readonly Row[]>,
    private readonly listening: Listening,
  ) {}

  start(): void {
    void this.#start();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#hangUp();
  }

  async #start(): Promise<void> {
    let broken = false;
    let stood = false;
    const onEnd = (error?: Error): void => {
      if (broken) return;
      broken = true;
      this.#over(error, !stood);
    };
    try {
      const [idle, sleeper] = await Promise.all([
        this.#connect(nameOf.alive(literal(this.instance)), onEnd),
        this.#connect(nameOf.asleep(literal(this.instance)), onEnd),
      ]);
      const probed = probe();
      void this.#listen(sleeper, probed.heard, () => broken || this.#closed).then(() => undefined, onEnd);
      const word = Math.random().toString(36).slice(2);
      probed.word = word;
      const [[reached] = []] = await this.ask(
        `call ${this.names.routine('probe')}(${literal(this.instance)}, ${literal(word)})`,
      );
      if (reached !== '1') throw new Error('the server does not see the connections that this process listens on');
      await within(PATIENCE_MS, probed.promise);
      if (broken || this.#closed) return;
      stood = true;
      this.#pause = FIRST_PAUSE_MS;
      void this.#beat(idle, () => broken || this.#closed).then(() => undefined, onEnd);
      this.listening.up();
    } catch (error) {
      if (broken) return;
      broken = true;
      this.#over(error instanceof Error ? error : undefined, true);
    }
  }

  /** @param early before it stood */
  #over(error: Error | undefined, early: boolean): void {
    this.#hangUp();
    if (this.#closed) return;
    const refused = early && error !== undefined && !isLost(error);
    this.listening.down(refused ? error : undefined);
    const pause = refused ? DEAF_PAUSE_MS : this.#pause;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => void this.#start(), pause).unref();
  }

  #hangUp(): void {
    for (const connection of this.#connections) connection.destroy();
    this.#connections = [];
  }

  /** A connection that is known on the server by this name, in the place of one of ours that the server still believes in. */
  async #connect(name: string, onEnd: (error?: Error) => void): Promise<Connection> {
    const connection = this.open();
    this.#connections.push(connection);
    // Nobody else listens, and an error that nobody listens for ends the process.
    connection.on('error', onEnd);
    connection.on('end', () => onEnd());
    await within(
      PATIENCE_MS,
      new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve()))),
    );
    Reflect.get(connection, 'stream')?.unref?.();
    await within(PATIENCE_MS, this.#take(connection, name));
    return connection;
  }

  async #take(connection: Connection, name: string): Promise<void> {
    // A limit on the time of statements, which MySQL has not in this way, would end the sleep.
    for (const more of [', max_statement_time = 0', '']) {
      const refused = await query(connection, `set session autocommit = 1, wait_timeout = ${SILENCE_S}${more}`).then(
        () => false,
        isRefusal,
      );
      if (!refused) break;
    }
    // Under anything more, taking messages away would keep others from writing new ones behind them.
    await query(connection, 'set session transaction isolation level read committed');
    for (let tries = 0; tries < 3; tries++) {
      const [[got] = []] = await query(connection, `select get_lock(${name}, ${tries})`);
      if (got === '1') return;
      const [[old] = []] = await query(connection, `select is_used_lock(${name})`);
      if (old) await query(connection, `kill connection ${Number(old)}`).catch(() => undefined);
    }
    throw new Error('the server gives out no named locks (GET_LOCK), by which a listening process is found');
  }

  async #listen(sleeper: Connection, heard: (word: string) => void, over: () => boolean): Promise<void> {
    const call = (taken: readonly string[]): string =>
      `call ${this.names.routine('listen')}(${literal(this.instance)}, ${literal(taken.map((id) => `${id},`).join(''))}, ${SLEEP_S})`;
    let taken: readonly string[] = [];
    while (!over()) {
      const rows = await within(SLEEP_S * 1_000 + PATIENCE_MS, query(sleeper, call(taken))).catch((error: unknown) => {
        // Woken between two statements, or rolled back in favour of who writes a message: it looks again.
        if (isInterrupted(error) || isConflict(error)) return undefined;
        throw error;
      });
      // What was taken is only gone when this call has come to its end.
      if (!rows) continue;
      const known = new Set(taken);
      const messages = rows.map(([, message]) => message ?? '');
      taken = rows.map(([id]) => id ?? '');
      for (const message of messages) if (message.startsWith('p ')) heard(message.slice(2));
      const fresh = rows.filter(([id]) => !known.has(id ?? '')).map(([, message]) => message ?? '');
      if (fresh.length > 0) this.listening.received(fresh);
    }
  }

  async #beat(idle: Connection, over: () => boolean): Promise<void> {
    while (!over()) {
      await new Promise<void>((resolve) => (this.#timer = setTimeout(resolve, HEARTBEAT_MS).unref()));
      if (!over()) await within(PATIENCE_MS, query(idle, 'do 1'));
    }
  }
}

/** Something that comes back to who sent it, by the way of all messages. */
function probe(): { word: string; readonly heard: (word: string) => void; readonly promise: Promise<void> } {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (settle = resolve));
  const probed = { word: '', promise, heard: (word: string) => (word === probed.word ? settle() : undefined) };
  return probed;
}

class SilenceError extends Error {}

/** A connection that broke is opened again at once; anything else the server, or what is in between, means. */
const isLost = (error: Error): boolean =>
  isEnded(error) || isInterrupted(error) || ('fatal' in error && !('sqlState' in error && error.sqlState));

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SilenceError(`no answer within ${milliseconds} ms`)), milliseconds).unref();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
