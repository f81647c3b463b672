import { type Answer, Connection, type Credentials, type TlsOptions } from './connection.js';
import { is, isUntrusted, ZooKeeperError } from './errors.js';
import type { Address } from './hosts.js';
import { bare, CODES, type Login, login, type Request, setWatches, sync } from './requests.js';
import { WaitingQuestions } from './waiting-questions.js';
import { type WatchListener, Watches } from './watches.js';

export interface ClientOptions extends Address {
  /** The length of the session in milliseconds, as it is asked for. */
  readonly sessionTimeout: number;
  readonly logins?: readonly Login[];
  readonly tls?: TlsOptions | undefined;
}

/**
 * `suspended`: the connection is lost, and whether the session still lives is not known. `lost`: a server said that it has ended.
 * `closed`: we ended it.
 */
export type SessionState = 'connecting' | 'connected' | 'suspended' | 'lost' | 'closed';

/** How long a connection takes at most, in milliseconds, where the session is short. */
const SHORTEST_PATIENCE_MS = 250;
const LONGEST_PATIENCE_MS = 2_000;
/** After a round over all servers in which none let us in, in milliseconds; up to twice that, so that many processes spread. */
const ROUND_MS = 50;

/** How long a server may be silent: short enough to go to another one and be answered there within a third of the session. */
export const patienceFor = (sessionTimeout: number): number =>
  Math.min(Math.max(sessionTimeout / 5, SHORTEST_PATIENCE_MS), LONGEST_PATIENCE_MS);

/**
 * One session with an ensemble, over one connection at a time. It reconnects by itself, and it never pings by itself: a session whose
 * owner stops to renew it ends, whatever the connection does.
 */
export class ZooKeeperClient {
  #state: SessionState = 'connecting';
  #connection: Connection | undefined;
  #credentials: Credentials;
  #lastZxid = 0;
  #failure: ZooKeeperError | undefined;
  readonly #waiting = new WaitingQuestions();
  #retry: NodeJS.Timeout | undefined;
  /** Servers tried since the last that let us in. */
  #tried = 0;
  #host: number;
  readonly #watches = new Watches();
  readonly #listeners = new Set<(state: SessionState) => void>();

  constructor(private readonly options: ClientOptions) {
    this.#credentials = { session: 0n, password: Buffer.alloc(16), timeout: options.sessionTimeout };
    // Anywhere, so that many processes spread over the servers.
    this.#host = Math.floor(Math.random() * options.hosts.length);
    this.#connect();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** As servers log it; `0` until one granted it. */
  get id(): string {
    return BigInt.asUintN(64, this.#credentials.session).toString(16);
  }

  /** Which it is in the answers of servers (`Stat.ephemeralOwner`). */
  get session(): bigint {
    return this.#credentials.session;
  }

  /** The length of the session in milliseconds: asked for, and from the first connection on as it was granted. */
  get sessionTimeout(): number {
    return this.#credentials.timeout;
  }

  /** The latest transaction that a server told of. */
  get lastZxid(): number {
    return Math.max(this.#lastZxid, this.#connection?.lastZxid ?? 0);
  }

  onState(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Asks a server, or waits for one that answers, for no longer than the session. Paths in requests are below the chroot: see `at`.
   *
   * @throws ZooKeeperError `ConnectionLoss`: it may have been done; `SessionExpired`: nothing of this session is left
   */
  ask<T>(request: Request<T>, listener?: WatchListener): Promise<Answer<T>> {
    // In place before anything behind the answer is looked at.
    const answered = listener && (() => this.#watches.add(request.path, listener));
    const connection = this.#state === 'connected' ? this.#connection : undefined;
    if (connection) return this.#judged(connection, connection.ask(request, answered));
    if (this.#state === 'lost' || this.#state === 'closed') return Promise.reject(this.#over());
    // Sent in the same moment as it is connected, so that questions keep their order.
    return this.#connected((connection) => this.#judged(connection, connection.ask(request, answered)));
  }

  /** Resolves when it is connected, and rejects when that takes longer than the session. */
  async ready(): Promise<void> {
    if (this.#state !== 'connected') await this.#connected(() => undefined);
  }

  #connected<T>(send: (connection: Connection) => T | Promise<T>): Promise<T> {
    return this.#waiting.add(send, this.sessionTimeout, () => this.#failure);
  }

  /** The path of a node as servers know it, of one that is named below the chroot. */
  at(path: string): string {
    return `${this.options.chroot}${path}` || '/';
  }

  unwatch(path: string, listener: WatchListener): void {
    this.#watches.remove(path, listener);
  }

  /** Renews the session: the server counts its length anew from when this arrives. A new connection does so as well. */
  async renew(): Promise<void> {
    const connected = this.#state === 'connected';
    try {
      // The leader has to answer too: a server that is cut off from it answers pings for a while, and renews nothing.
      await Promise.all([this.ask(bare(CODES.ping)), this.ask(sync(this.at('')))]);
    } catch (error) {
      if (!connected || !is(error, 'ConnectionLoss')) throw error;
      await Promise.all([this.ask(bare(CODES.ping)), this.ask(sync(this.at('')))]);
    }
  }

  /** Ends the session. Resolves when a server said so; until then it may live on. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    try {
      if (this.#state !== 'lost') await this.ask(bare(CODES.closeSession));
    } catch (error) {
      if (!is(error, 'SessionExpired')) throw error;
    }
    this.destroy();
  }

  /** Hangs up and comes back no more. The session ends when its time is over, unless it was closed. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#leave('closed');
  }

  #connect(): void {
    const { hosts, tls, sessionTimeout } = this.options;
    const host = hosts[this.#host % hosts.length];
    if (!host) throw new TypeError('no hosts');
    const patience = Math.max(patienceFor(sessionTimeout), SHORTEST_PATIENCE_MS * 2);
    const connection: Connection = new Connection(host, tls, patience, {
      event: (event) => this.#watches.tell(event),
      lost: (error) => this.#lost(connection, error),
    });
    this.#connection = connection;
    connection.open(this.#credentials).then(
      (granted) => this.#opened(connection, granted),
      // Told by `lost`.
      () => undefined,
    );
  }

  #opened(connection: Connection, granted: Credentials): void {
    if (connection !== this.#connection) return;
    if (granted.session === 0n) return this.#leave('lost');
    const again = this.#credentials.session !== 0n;
    this.#credentials = granted;
    connection.beReady(patienceFor(granted.timeout));
    const first: Promise<unknown>[] = (this.options.logins ?? []).map((one) => connection.ask(login(one)));
    if (again) {
      // This server may be behind the one before, and must not show us the past.
      first.push(connection.ask(sync(this.at(''))));
      const { paths } = this.#watches;
      if (paths.length > 0) first.push(connection.ask(setWatches(this.#lastZxid, paths)));
    }
    for (const one of first) void this.#judged(connection, one).catch((error) => this.#refused(connection, error));
    this.#tried = 0;
    this.#enter('connected');
    this.#waiting.sendAll(connection);
  }

  /** What has to come first was refused, so nothing behind it can be trusted. */
  #refused(connection: Connection, error: unknown): void {
    if (is(error, 'AuthFailed') && error instanceof ZooKeeperError) {
      this.#failure = error;
      this.#leave('closed');
    } else {
      connection.destroy();
    }
  }

  async #judged<T>(connection: Connection, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (connection === this.#connection) {
        if (is(error, 'SessionExpired')) this.#leave('lost');
        else if (is(error, 'SessionMoved')) connection.destroy();
      }
      throw error;
    }
  }

  #lost(connection: Connection, error: ZooKeeperError): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#lastZxid = Math.max(this.#lastZxid, connection.lastZxid);
    this.#failure = error;
    this.#watches.doubt();
    this.#host++;
    this.#tried++;
    if (this.#state === 'connected') this.#enter('suspended');
    if (isUntrusted(error)) this.#waiting.refuseAll(error);
    if (this.#tried % this.options.hosts.length !== 0) return this.#connect();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), ROUND_MS * (1 + Math.random())).unref();
  }

  #leave(state: 'lost' | 'closed'): void {
    const connection = this.#connection;
    this.#connection = undefined;
    clearTimeout(this.#retry);
    this.#enter(state);
    const over = this.#over();
    connection?.destroy(over);
    this.#waiting.refuseAll(over);
    this.#watches.tellAll();
  }

  #enter(state: SessionState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  #over(): ZooKeeperError {
    if (this.#state === 'lost') {
      return new ZooKeeperError('SessionExpired', `The session ${this.id} has ended on the server.`);
    }
    return is(this.#failure, 'AuthFailed') && this.#failure
      ? this.#failure
      : new ZooKeeperError('Closed', `The session ${this.id} was closed.`);
  }
}
