import type { LockMode } from '../lock/lock-mode.js';

/** One request for one key. `owner` is unique to each claim, so every method may be called again without doing anything twice. */
export interface Claim {
  /** The key, with the prefix of the module. It may hold any characters. */
  readonly key: string;
  /** `<instance>:<number>`. The part before the last colon names the process, and so its inbox for pushed grants. */
  readonly owner: string;
  /** `exclusive` for one holder, `shared` for a reader among readers. */
  readonly mode: LockMode;
  /** How many may hold the key together; 1 is a lock, more is a semaphore. */
  readonly limit: number;
  /** Lease in milliseconds: how long the server keeps the lock of a holder that fell silent. */
  readonly ttl: number;
  /**
   * Lease in milliseconds of a grant that is *pushed* to a waiter; the first renewal turns it into `ttl`. It bounds what a waiter that
   * froze before its grant can cost the waiters behind it.
   */
  readonly claimTtl: number;
}

/** The answer to an attempt that got the lock. */
export interface Grant {
  readonly granted: true;
  /** Strictly grows with each new owner of the key, where the backend has it. */
  readonly fencingToken?: bigint;
  /**
   * When the server made the grant, in milliseconds of its own clock; comparable only with `Busy.at` of the same server. In the session
   * family it may be any number that grows with the server's order of changes, such as a revision.
   */
  readonly at?: number;
}

/** The answer to an attempt that found others ahead. Where the backend has a line, the claim stands in it now. */
export interface Busy {
  readonly granted: false;
  /** When to look again if nothing is pushed, in milliseconds from now: the end of the present lease, or sooner. */
  readonly retryAfterMs?: number;
  /** When this was true, as in `Grant.at`. It dates the grant that may follow. */
  readonly at?: number;
  /** One of the present holders, for messages. */
  readonly holder?: string;
  /**
   * For `handOver`: who stands directly ahead of this waiter, or holds the key if nobody waits ahead. Later claims come behind, so this
   * does not change.
   */
  readonly ahead?: string;
}

/** The key is in use as another kind of lock: a semaphore of another size, or a semaphore where you ask for a lock. */
export interface Conflict {
  readonly granted: false;
  /** The limit in force. */
  readonly limit: number;
}

/** What the server says of an attempt. */
export type Attempt = Grant | Busy | Conflict;

/** How a backend reaches a claim that waits. Calls may repeat, come late or be lost, because the engine checks each of them. */
export interface Waiter {
  /** The server made this claim the holder. */
  granted(grant: Grant): void;
  /** Something changed, or pushes may have been missed: ask again. */
  look(): void;
}
