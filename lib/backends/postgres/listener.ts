import type { ListeningClient } from './pool.js';

/** What to do with what is heard. */
export interface ListenerEvents {
  message(text: string): void;
  /** From here on whatever is told arrives. */
  up(): void;
  /** What was told before may be lost, or those who wait were answered before it was known whether it stands. */
  missed(): void;
}

/** How long opening may take all in all, and how long a word to oneself, in milliseconds. */
const OPENING_MS = 5_000;
const ECHO_MS = 2_000;
/** How long one who waits for the first time waits for it, in milliseconds: well within the time limit of a question. */
const SOON_MS = 200;
/** When to try again, in milliseconds: at first, at most, and where nothing can be heard at all. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
const DEAF_PAUSE_MS = 60_000;
/** How often the connection has to answer, in milliseconds. */
const HEARTBEAT_MS = 10_000;

/**
 * The connection that hears pushed grants: one for a process, opened by the first claim that finds its key busy, and kept up from then
 * on. While it stands it holds an advisory lock, by which the server tells whether this process can be reached.
 */
export class Listener {
  #client: ListeningClient | undefined;
  #started: Promise<void> | undefined;
  #soon: Promise<void> | undefined;
  #settled: (() => void) | undefined;
  #late = false;
  #failures = 0;
  #opened = 0;
  #up = false;
  #deaf = false;
  #closed = false;
  #again: NodeJS.Timeout | undefined;
  #beat: NodeJS.Timeout | undefined;
  #onEcho: (() => void) | undefined;

  /**
   * @param channel whose messages are for this process
   * @param connect makes a connection, which is ours
   * @param tell sends a message over another connection
   */
  constructor(
    private readonly channel: string,
    private readonly connect: () => Promise<ListeningClient>,
    private readonly tell: (channel: string, text: string) => Promise<void>,
    private readonly events: ListenerEvents,
  ) {}

  /** Whether a push would arrive. */
  get up(): boolean {
    return this.#up;
  }

  /** Whether it is known if a push would arrive. */
  get settled(): boolean {
    return this.#started !== undefined && this.#settled === undefined;
  }

  /** Whether the connection takes orders, but nothing arrives: a pooler is in between. */
  get deaf(): boolean {
    return this.#deaf;
  }

  /** Resolves when it stands, or has failed to for the first time; it goes on trying. */
  start(): Promise<void> {
    return (this.#started ??= new Promise((resolve) => {
      this.#settled = resolve;
      void this.#open();
    }));
  }

  /** As `start`, but it takes no longer than `SOON_MS`. */
  soon(): Promise<void> {
    return (this.#soon ??= new Promise((resolve) => {
      const late = setTimeout(() => {
        this.#late = true;
        resolve();
      }, SOON_MS);
      late.unref();
      void this.start().then(() => {
        clearTimeout(late);
        resolve();
      });
    }));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    clearTimeout(this.#beat);
    this.#client?.end().catch(() => undefined);
    this.#settle();
  }

  async #open(): Promise<void> {
    let client: ListeningClient | undefined;
    const late = setTimeout(() => void client?.end().catch(() => undefined), OPENING_MS);
    late.unref();
    try {
      client = await this.connect();
      if (this.#closed) return;
      await this.#standOn(client);
    } catch {
      // The verbs meet the same server, and say what is wrong with it.
      client?.end().catch(() => undefined);
      this.#retry(client);
    } finally {
      clearTimeout(late);
      this.#settle();
    }
  }

  async #standOn(client: ListeningClient): Promise<void> {
    this.#client = client;
    // Without a listener an error ends the process; the end that follows it is what matters.
    client.on('error', () => undefined);
    client.on('end', () => this.#retry(client));
    client.on('notification', ({ payload = '' }) => this.#heard(payload));
    await client.connect();
    client.unref?.();
    await client.query(`listen "${this.channel}"`);
    if (!(await this.#hearsItself())) {
      this.#deaf = true;
      client.end().catch(() => undefined);
      return;
    }
    await client.query(SETTINGS);
    // The server may believe yet in the connection before this one, which would keep the lock.
    if (this.#opened++ > 0) await client.query(END_THE_FORMER, [this.channel]);
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [this.channel]);
    this.#up = true;
    this.#deaf = false;
    this.#failures = 0;
    this.#beatOn(client);
    const awaited = this.#settled !== undefined && !this.#late;
    this.#settle();
    this.events.up();
    if (!awaited) this.events.missed();
  }

  /** A firewall may forget a connection that is idle, and tells neither end. Without an answer it counts as broken. */
  #beatOn(client: ListeningClient): void {
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => void this.#checkOn(client), HEARTBEAT_MS);
    this.#beat.unref();
  }

  async #checkOn(client: ListeningClient): Promise<void> {
    const answer = client.query('select 1').then(
      () => true,
      () => false,
    );
    const answered = await within(ECHO_MS, answer);
    if (client !== this.#client || this.#closed) return;
    if (answered) return this.#beatOn(client);
    this.#retry(client);
    client.end().catch(() => undefined);
  }

  /** A pooler takes the order to listen, and has given the connection to somebody else when there is something to hear. */
  async #hearsItself(): Promise<boolean> {
    const echo = new Promise<boolean>((resolve) => {
      this.#onEcho = () => resolve(true);
    });
    await this.tell(this.channel, ECHO);
    return within(ECHO_MS, echo);
  }

  #heard(text: string): void {
    if (text === ECHO) this.#onEcho?.();
    else this.events.message(text);
  }

  #retry(client: ListeningClient | undefined): void {
    if (client !== this.#client && this.#client !== undefined) return;
    this.#client = undefined;
    this.#up = false;
    if (this.#closed) return;
    const pause = this.#deaf ? DEAF_PAUSE_MS : Math.min(FIRST_PAUSE_MS * 2 ** this.#failures++, LONGEST_PAUSE_MS);
    clearTimeout(this.#again);
    this.#again = setTimeout(() => void this.#open(), pause);
    this.#again.unref();
  }

  #settle(): void {
    const settled = this.#settled;
    if (!settled) return;
    this.#settled = undefined;
    settled();
    if (this.#late && !this.#up && !this.#closed) this.events.missed();
  }
}

/** What it resolves to, or `false` after so many milliseconds. */
function within(milliseconds: number, answer: Promise<boolean>): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), milliseconds);
    void answer.then((value) => {
      clearTimeout(late);
      resolve(value);
    });
  });
}

const ECHO = 'e';

/** It lives as long as the process, whatever the role or the database allow, and a peer that vanished is noticed. */
const SETTINGS = `
  select set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    case when current_setting('idle_session_timeout', true) is not null then set_config('idle_session_timeout', '0', false) end`;

const END_THE_FORMER = `
  select pg_terminate_backend(pid) from pg_locks
  where locktype = 'advisory' and mode = 'ExclusiveLock' and granted and pid <> pg_backend_pid() and objsubid = 1
    and database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)`;
