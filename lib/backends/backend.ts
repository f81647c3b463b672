import type { LockMode } from '../lock/lock-mode.js';
import type { HandOver, ListPage, ListQuery, Surroundings } from './capabilities.js';
import type { Attempt, Busy, Claim, Conflict, Grant, Waiter } from './claim.js';
import type { KeyState } from './key-state.js';

/**
 * The port: everything that a lock server has to answer.
 *
 * A backend answers one question in one round trip. The engine retries, sleeps, logs, reads the clock and runs the timers, so a backend
 * does none of that. Throwing means "I do not know": the question may have reached the server, or not.
 *
 * There are two families. In a *key* backend (Redis, a table, memory) each lock has a lease of its own. In a *session* backend (etcd,
 * Consul, ZooKeeper) many locks hang from one lease. The rest is the same for both.
 */

export type { LockMode };
export type { Attempt, Busy, Claim, Conflict, Grant, Waiter } from './claim.js';
export type { Holder, KeyState } from './key-state.js';

// What a first backend does without.
export { MOST_UNCONFIRMED } from './capabilities.js';
export type { BackendClock, HandOver, ListPage, ListQuery, Surroundings, TakenOver } from './capabilities.js';
export type { NodeState, Waiting } from './key-state.js';

/** What the server can do, where no type can show it. The contract suite proves each trait, and the engine refuses at boot what is missing. */
export interface Traits {
  /** Grants carry fencing tokens. */
  readonly fencing: boolean;
  /** The server keeps a line: `attempt` with a waiter joins it, and grants come in arrival order. */
  readonly fifo: boolean;
  /** The modes that the server tells apart. */
  readonly modes: readonly LockMode[];
  /** The server grants a key to several owners when `limit` is above 1. */
  readonly semaphores: boolean;
  /** Shortest lease in milliseconds that the server keeps faithfully. */
  readonly minTtl: number;
  /** Longest lease in milliseconds that it may give. @default none */
  readonly maxTtl?: number;
  /** Whether the server can keep a key closed after its release (`keepMs`). With `false` the engine refuses `minHold`. @default true */
  readonly minHold?: boolean;
  /** Locks outlive the loss of the server that granted them. */
  readonly survivesFailover: boolean;
}

/** What both families have: first what every backend answers, then what a backend may add. */
interface Common {
  /** Product name for messages and logs, such as `redis`. */
  readonly kind: string;
  /** What the server can do. */
  readonly traits: Traits;
  /** Resolves when the server answers; rejects with why not. Asked at boot. */
  ping(): Promise<void>;
  /** Tells who has the key and how many wait for it. */
  inspect(key: string): Promise<KeyState>;
  /** Takes the key from whoever holds it and serves the line. Resolves to whether anybody held it. */
  forceRelease(key: string): Promise<boolean>;
  /** Closes what the backend opened itself, never a client that was handed in. */
  close(): Promise<void>;

  /** Where the server is, for the log: without a user name or a password. */
  readonly address?: string;
  /**
   * Makes the same backend with connections and state of its own. What a factory such as `redis({ url })` returns is a description: each
   * application asks it for a backend once and closes that one. Applications share a backend that has no such method.
   */
  forApplication?(surroundings?: Surroundings): LockBackend;
  /** What an operator should know although locks work, such as a server that may evict them. Asked once, after the first `ping`. */
  warnings?(): Promise<readonly string[]>;
  /**
   * How long the engine waits for an answer, in milliseconds, unless its own `callTimeout` says otherwise. It is for a backend that queues
   * its requests and ends each one by itself in bounded time after it was sent, so that the time in the queue does not count.
   */
  readonly patienceMs?: number;
  /**
   * How many attempts and releases the engine has on their way at once. More wait in the engine, and their time limit begins when they
   * are let through; renewals never wait. It is for a server that answers many at once late, and a client that does not batch.
   * @default Infinity
   */
  readonly atOnce?: number;
  /** Resolves to a page of all keys that are held or waited for. It must not hold up the server's other work. */
  list?(query: ListQuery): Promise<ListPage>;
  /** Calls `wake` when the key may have become free. It is for backends without a line. Returns the way to stop. */
  watch?(key: string, wake: () => void): () => void;
  /** Tells this process of holders whose lease is gone, where the server can say so (a forced release, a dead session). */
  onLost?(listener: (owner: string) => void): () => void;
}

/** A backend where each lock has a lease of its own. */
export interface KeyBackend extends Common {
  /** Says which family this is. */
  readonly family: 'key';
  /**
   * Takes the key if it is free. If the key is busy and there is a `waiter`, the claim joins the line in the same step. Asked again by the
   * same owner, it keeps the owner's place, reports a grant that was missed, and proves to the server that the waiter lives.
   */
  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt>;
  /**
   * Renews each claim to at least `ttl` from now, never to less than it had. Resolves to whether each is still held, or `undefined` where
   * nobody knows (one server of several did not answer). A claim that fails must not touch another.
   */
  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]>;
  /**
   * After this the owner neither holds nor waits: it frees the hold and serves the line, or leaves the line. Resolves to whether it held.
   * With `keepMs` the server keeps the key closed for that long, in nobody's name.
   */
  release(claim: Claim, keepMs?: number): Promise<boolean>;

  /**
   * Takes all keys or none, in one step, and joins no line. Resolves to the grants in the order of the claims, or to why not. `undefined`
   * means that one step cannot take these keys, because they live on different servers or are too many.
   */
  attemptAll?(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /** Turns an exclusive hold into a shared one and lets waiting readers in. Resolves to whether it was held. */
  downgrade?(claim: Claim): Promise<boolean>;
  /**
   * The server that has the key, where there are several. The engine asks one server in each call of `renew`, so a server that does not
   * answer holds up nothing but its own keys.
   */
  nodeOf?(key: string): string | undefined;
  /** Lets a key go from owner to owner inside one process without waiting for the server. */
  readonly handOver?: HandOver;
  /**
   * It is for a server inside this process, which stands still together with its holders. Before it lets a hold end by time it asks
   * `isRenewed`, and keeps the hold for one more `ttl` where that says yes. So a process that stood still loses no lock to itself.
   * Returns the way to stop.
   */
  keepRenewed?(isRenewed: (owner: string) => boolean): () => void;
}

/** A lease that many locks hang from. */
export interface Session {
  /** For messages, such as the lease's number. */
  readonly id: string;
  /** The lease in milliseconds as the server granted it, which may differ from what was asked. */
  readonly ttl: number;
  /** Renews to `ttl` from now. Resolves to whether the session still lived. */
  renew(): Promise<boolean>;
  /** Ends the session and with it every lock that hangs from it. */
  end(): Promise<void>;

  /**
   * Resolves to what hangs from the session on the server, holds and places in line. The answer may be a moment old, but not about the
   * claims in `held`: one of these that is not in the answer is gone for certain. It is for servers where a lock can go while its
   * session stays: the engine asks after renewals, tells holders of a loss, and clears away what a late request left behind.
   */
  attached?(held: readonly Claim[]): Promise<readonly Pick<Claim, 'key' | 'owner'>[]>;
}

/** Thrown by a method that met a session which the server has forgotten: every lock that hung from it is gone. */
export class SessionEndedError extends Error {
  constructor(readonly session: Session) {
    super(`The session ${session.id} has ended on the server.`);
    this.name = 'SessionEndedError';
  }
}

/** A backend where many locks hang from one lease. Any method may throw `SessionEndedError`. */
export interface SessionBackend extends Common {
  /** Says which family this is. */
  readonly family: 'session';
  /**
   * About how many claims hang from one session; further ones get another session of the same length. It is for a server that answers
   * `attached` in one piece.
   * @default Infinity
   */
  readonly perSession?: number;
  /** Opens a session whose lease is `ttl` milliseconds, or as near to it as the server can. */
  open(ttl: number): Promise<Session>;
  /** As `KeyBackend.attempt`; the hold lives as long as the session. */
  attempt(claim: Claim, session: Session, waiter?: Waiter): Promise<Attempt>;
  /** As `KeyBackend.release`. */
  release(claim: Claim, session: Session, keepMs?: number): Promise<boolean>;

  /** As `KeyBackend.attemptAll`. */
  attemptAll?(claims: readonly Claim[], session: Session): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /** As `KeyBackend.downgrade`. */
  downgrade?(claim: Claim, session: Session): Promise<boolean>;
}

/** What the module is given as `backend`: a lease for each lock, or a session that many locks hang from. */
export type LockBackend = KeyBackend | SessionBackend;
