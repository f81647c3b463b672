import type { LockMode } from '../lock/lock-mode.js';

/**
 * The port: everything a lock server has to answer, and nothing it has to decide.
 *
 * A backend answers one question in one round trip. It never retries, sleeps, logs, reads a clock or runs a timer: those are
 * the engine's, once, for all. Throwing means "I do not know": the question may or may not have reached the server.
 *
 * Two families differ in what carries liveness. In a *key* backend (Redis, a table, memory) each lock has a lease of its own;
 * in a *session* backend (etcd, Consul, ZooKeeper) many locks hang from one lease. Everything else is the same for both.
 */

export type { LockMode };

/** One wish for one key. `owner` is unique to each claim, so every verb may be sent again without doing it twice. */
export interface Claim {
  readonly key: string;
  /** `<instance>:<number>`; the part before the last colon names the process instance, and so its inbox for pushed grants. */
  readonly owner: string;
  readonly mode: LockMode;
  /** How many may hold the key together; 1 is a lock, more is a semaphore. */
  readonly limit: number;
  /** Lease in milliseconds: how long the server keeps the lock of a holder that fell silent. */
  readonly ttl: number;
  /**
   * Lease in milliseconds of a grant that is *pushed* to a waiter, which the first renewal turns into `ttl`. It bounds what a
   * waiter that froze before its turn can cost the ones behind it.
   */
  readonly claimTtl: number;
}

/** The answer to an attempt that got the lock. */
export interface Grant {
  readonly granted: true;
  /** Strictly grows with each new owner of the key, where the backend has it. */
  readonly fencingToken?: bigint;
  /**
   * When the grant was made, in milliseconds of the server's own clock; comparable only with `Busy.at` of the same server. In the
   * session family any numbers do that grow with the server's order of things, such as its revisions.
   */
  readonly at?: number;
}

/** The answer to an attempt that found others ahead. Where the backend has a line, the claim stands in it now. */
export interface Busy {
  readonly granted: false;
  /** When to look again if nothing is pushed: the end of the present lease, or sooner. */
  readonly retryAfterMs?: number;
  /** When this was true, as in `Grant.at`: it dates the grant that may follow. */
  readonly at?: number;
  /** One of the present holders, for messages. */
  readonly holder?: string;
  /** Who stands directly ahead of this waiter in line, or holds the key if nobody does. Later ones come behind, so it stays so. */
  readonly ahead?: string;
}

/** The key is in use as another sort of lock: a semaphore of another size, or a semaphore and a mutex. */
export interface Conflict {
  readonly granted: false;
  /** The limit in force. */
  readonly limit: number;
}

/** What the server says of an attempt. */
export type Attempt = Grant | Busy | Conflict;

/**
 * What the server says of a key that went from one owner to another inside of a process: it is the new one's (`held`, or `overtaking`,
 * if others stand ahead of it in line and are to be served before more of that process), or it was not theirs to hand on (`gone`).
 */
export type TakenOver = 'held' | 'overtaking' | 'gone';

/**
 * How many owners of one process may have taken a key over from each other without the server's word for any. The tokens of the server's
 * own grants step by more than that, so none of them is one that a process has given out by itself.
 */
export const MOST_UNCONFIRMED = 32;

/** How a backend reaches a claim that waits. Calls may repeat, come late or be lost: every one is checked or re-checkable. */
export interface Waiter {
  /** The server made this claim the holder. */
  granted(grant: Grant): void;
  /** Something changed, or pushes may have been missed: ask again. */
  look(): void;
}

/** Somebody who has the lock, as `inspect` and `list` show it. */
export interface Holder {
  readonly owner: string;
  readonly fencingToken: bigint | undefined;
  /** Milliseconds until the server lets go unless renewed. */
  readonly remainingMs: number;
  /** Milliseconds since the grant, where the server knows. */
  readonly heldMs?: number;
}

/** A claim that waits. */
export interface Waiting {
  readonly owner: string;
  /** Milliseconds since it joined the line, where the server knows. */
  readonly waitingMs?: number;
}

/** What the server knows of one key. */
export interface KeyState {
  readonly mode: LockMode;
  readonly limit: number;
  readonly holders: readonly Holder[];
  /** How many claims wait. */
  readonly waiting: number;
  /** The claims that wait, the foremost first and at most 100, where the server can tell. */
  readonly waiters?: readonly Waiting[];
  /** What each of several independent servers says, where a majority of them decides. */
  readonly nodes?: readonly NodeState[];
}

/** What one of several independent servers says of a key, or why it says nothing. */
export type NodeState =
  | { readonly node: string; readonly holders: readonly Holder[]; readonly waiting: number }
  | { readonly node: string; readonly error: string };

/** Asks for a page of all keys that are held or waited for. */
export interface ListQuery {
  /** Only keys that begin with it. */
  readonly prefix: string;
  /** About how many keys a page has at most, so that one call stays short. */
  readonly limit: number;
  /** Where the page before ended. */
  readonly cursor?: string;
}

/** A page of keys. One may come twice, or be missing, if it changes meanwhile. */
export interface ListPage {
  readonly keys: readonly (KeyState & { readonly key: string })[];
  /** Where the next page begins; absent after the last one. */
  readonly cursor?: string;
}

/** What no type can show. The contract suite proves each, and boot-time errors come from them. */
export interface Traits {
  /** Grants carry fencing tokens. */
  readonly fencing: boolean;
  /** The server keeps a line: `attempt` with a waiter joins it, grants come in arrival order. */
  readonly fifo: boolean;
  readonly modes: readonly LockMode[];
  /** `limit` above 1 is served. */
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

/** Time as the engine has it, in milliseconds from an arbitrary start. */
export interface BackendClock {
  now(): number;
  /** Calls `run` once after `ms`; returns how to cancel it. A `background` timer does not keep the process alive. */
  after(ms: number, run: () => void, background?: boolean): () => void;
  /** As `after`, for the time limits of calls, which are nearly always cancelled. */
  limit(ms: number, run: () => void): () => void;
}

/**
 * What the engine lends to a backend that asks several servers and so has to give up on one of them by itself. Everybody else leaves time
 * and chance to the engine.
 */
export interface Surroundings {
  readonly clock: BackendClock;
  /** From 0 up to 1. */
  readonly random: () => number;
}

interface Common {
  /** Product name for messages and logs, such as `redis`. */
  readonly kind: string;
  /** Where the server is, for the log: without a user name or a password. */
  readonly address?: string;
  /**
   * The same backend with connections and state of its own. What a factory such as `redis({ url })` makes is a description: each
   * application asks it for a backend once and closes that one. A backend without this is shared by all applications that use it.
   */
  forApplication?(surroundings?: Surroundings): LockBackend;
  /** What an operator should know although locks work, such as a server that may evict them. Asked once, after the first `ping`. */
  warnings?(): Promise<readonly string[]>;
  readonly traits: Traits;
  /**
   * How long the engine waits for an answer, in milliseconds, unless its own `callTimeout` says otherwise. For a backend that queues
   * its requests, and that ends each one by itself in bounded time after it was sent: then the time in the queue counts for nothing.
   */
  readonly patienceMs?: number;
  /**
   * How many attempts and releases the engine has on their way at once. More wait in the engine, and their time limit begins when they
   * are let through; renewals never wait. For a server that answers many at once late, and a client that does not batch.
   * @default Infinity
   */
  readonly atOnce?: number;
  /** Resolves when the server answers; rejects with why not. Asked at boot. */
  ping(): Promise<void>;
  inspect(key: string): Promise<KeyState>;
  /** A page of all keys that are held or waited for. It must not hold up the server's other work. */
  list?(query: ListQuery): Promise<ListPage>;
  /** Takes the key from whoever holds it and serves the line. Resolves to whether anybody held it. */
  forceRelease(key: string): Promise<boolean>;
  /** Wakes `wake` when the key may have become free. For backends without a line; returns the way to stop. */
  watch?(key: string, wake: () => void): () => void;
  /** Tells the holders in this process that their lease is gone, where the server can say so (a forced release, a dead session). */
  onLost?(listener: (owner: string) => void): () => void;
  /** Closes what the backend opened itself, never a client that was handed in. */
  close(): Promise<void>;
}

/** One lease for each lock. */
export interface KeyBackend extends Common {
  readonly family: 'key';
  /**
   * Takes the key if it is free. If it is busy and a `waiter` is given, joins the line in the same step; asked again by the
   * same owner it keeps its place, tells the truth about a missed grant, and proves to the server that the waiter lives.
   */
  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt>;
  /**
   * All or none, in one step, never joining a line: the grants in the order of the claims, or why not; `undefined` when these keys
   * cannot be taken in one step, because they live on different servers or are too many.
   */
  attemptAll?(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /**
   * The server that has the key, where there are several: what is renewed in one call is asked of one server, so that one that
   * does not answer holds up nothing but its own.
   */
  nodeOf?(key: string): string | undefined;
  /**
   * Renews to at least `ttl` from now, never to less than it had: for each claim whether it is still held, or `undefined` where that is not known (one server of
   * several did not answer). One claim's failure must not touch another's.
   */
  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]>;
  /**
   * After this the owner neither holds nor waits: frees the hold and serves the line, or leaves the line. Resolves to whether
   * it held. With `keepMs` the server keeps the key closed that long for nobody before it lets go. `from` as in `takeOver`: that one of these
   * holds counts as if the owner did, and after this none of them does.
   */
  release(claim: Claim, keepMs?: number, from?: readonly string[]): Promise<boolean>;
  /** Turns an exclusive hold into a shared one and lets waiting readers in; resolves to whether it was held. */
  downgrade?(claim: Claim): Promise<boolean>;
  /**
   * The owner of this exclusive claim has the key from another one of its process, which let it go to the next in line: tells the
   * server so and renews. `from`, the latest last, are all whom the server may still know as the holder. After this none of them
   * waits or holds, and the owner waits no more, whether it holds or the key was none of theirs.
   */
  takeOver?(claim: Claim, from: readonly string[], fencingToken: bigint): Promise<TakenOver>;
}

/** A lease that many locks hang from. */
export interface Session {
  /** For messages, such as the lease's number. */
  readonly id: string;
  /** The lease in milliseconds as the server granted it, which may differ from what was asked. */
  readonly ttl: number;
  /** Renews to `ttl` from now; resolves to whether the session still lived. */
  renew(): Promise<boolean>;
  /**
   * What hangs from it on the server, holds and places in line; a moment old, maybe. For servers where a lock can go while its
   * session stays: it is asked after renewals, so that holders are told, and what a late request left behind is cleared away.
   */
  attached?(): Promise<readonly Pick<Claim, 'key' | 'owner'>[]>;
  /** Ends the session and with it whatever hangs from it. */
  end(): Promise<void>;
}

/** A verb met a session that the server has forgotten: all that hung from it is gone. */
export class SessionEndedError extends Error {
  constructor(readonly session: Session) {
    super(`The session ${session.id} has ended on the server.`);
    this.name = 'SessionEndedError';
  }
}

/** One lease for many locks. Any verb may throw `SessionEndedError`. */
export interface SessionBackend extends Common {
  readonly family: 'session';
  open(ttl: number): Promise<Session>;
  /** As `KeyBackend.attempt`; the hold lives as long as the session. */
  attempt(claim: Claim, session: Session, waiter?: Waiter): Promise<Attempt>;
  /** As `KeyBackend.attemptAll`. */
  attemptAll?(claims: readonly Claim[], session: Session): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /** As `KeyBackend.release`. */
  release(claim: Claim, session: Session, keepMs?: number): Promise<boolean>;
  /** As `KeyBackend.downgrade`. */
  downgrade?(claim: Claim, session: Session): Promise<boolean>;
}

/** What the module is given as `backend`: a lease for each lock, or a session that many locks hang from. */
export type LockBackend = KeyBackend | SessionBackend;
