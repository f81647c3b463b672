import type { LockMode } from '../lock/lock-mode.js';

/** A holder of a key, as `inspect` and `list` show it. */
export interface Holder {
  /** The owner of the claim that was granted. */
  readonly owner: string;
  /** The token of the grant; `undefined` where the backend has none. */
  readonly fencingToken: bigint | undefined;
  /** Milliseconds until the server lets go unless renewed. */
  readonly remainingMs: number;
  /** Milliseconds since the grant, where the server knows. */
  readonly heldMs?: number;
}

/** A claim that waits. */
export interface Waiting {
  /** The owner of the claim. */
  readonly owner: string;
  /** Milliseconds since it joined the line, where the server knows. */
  readonly waitingMs?: number;
}

/** What the server knows of one key. */
export interface KeyState {
  /** How the holders have it; `exclusive` when nobody holds it. */
  readonly mode: LockMode;
  /** How many may hold it together. */
  readonly limit: number;
  /** Who holds it; empty when the key is free. */
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
