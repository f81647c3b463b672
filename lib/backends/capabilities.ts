import type { Claim } from './claim.js';
import type { KeyState } from './key-state.js';

/**
 * What a key backend adds so that a key can go from one owner to another inside a process. The process then tells the server of the new
 * owner while that one works, and nobody waits for the answer. `Busy.ahead` says who may follow whom.
 */
export interface HandOver {
  /**
   * The owner of this exclusive claim has the key from another owner of its process, which let it go to the next in line. Tells the server
   * so, and renews. After this none of `from` waits or holds, and the owner does not wait, whether it holds or the key was none of theirs.
   *
   * @param from all owners that the server may still know as the holder, the latest last
   */
  takeOver(claim: Claim, from: readonly string[], fencingToken: bigint): Promise<TakenOver>;
  /**
   * As `KeyBackend.release`, for an owner that took the key over. When one of `from` holds the key, that counts as the owner's hold, and
   * after this none of them holds.
   */
  release(claim: Claim, from: readonly string[], keepMs?: number): Promise<boolean>;
}

/**
 * What the server says of a key that went from one owner to another inside a process. `held`: it is the new owner's. `overtaking`: it is
 * the new owner's, but others stand ahead in line and must be served before more of that process. `gone`: it was not theirs to hand on.
 */
export type TakenOver = 'held' | 'overtaking' | 'gone';

/**
 * How many owners of one process may take a key over from each other before the server has confirmed one. The tokens of the server's own
 * grants step by more than that, so none of them is a token that a process has given out by itself.
 */
export const MOST_UNCONFIRMED = 32;

/** Asks for a page of all keys that are held or waited for. */
export interface ListQuery {
  /** Only keys that begin with it. */
  readonly prefix: string;
  /** About how many keys a page has at most, so that one call stays short. */
  readonly limit: number;
  /** Where the page before ended. */
  readonly cursor?: string;
}

/** A page of keys. A key that changes meanwhile may come twice, or be missing. */
export interface ListPage {
  /** The keys of this page, each with its state. */
  readonly keys: readonly (KeyState & { readonly key: string })[];
  /** Where the next page begins; absent after the last one. */
  readonly cursor?: string;
}

/** Time as the engine has it, in milliseconds from an arbitrary start. */
export interface BackendClock {
  /** Milliseconds from the arbitrary start; never goes back. */
  now(): number;
  /** Calls `run` once after `ms`; returns how to cancel it. A `background` timer does not keep the process alive. */
  after(ms: number, run: () => void, background?: boolean): () => void;
  /** As `after`, for the time limits of calls, which are nearly always cancelled. */
  limit(ms: number, run: () => void): () => void;
}

/**
 * What the engine lends to a backend that asks several servers, because such a backend has to give up on one of them by itself. Any other
 * backend leaves time and chance to the engine.
 */
export interface Surroundings {
  /** The engine's clock. */
  readonly clock: BackendClock;
  /** From 0 up to 1. */
  readonly random: () => number;
}
