/** What the server sends to the page. Both sides are built with it. */

export type Sort = 'waiting' | 'held' | 'lease' | 'key';

/** All that the page shows, complete in itself: whichever frame comes last is the truth. */
export interface Frame {
  /** Those that the viewer asked for, in the order to show. */
  readonly rows: readonly Row[];
  /** How many locks match the filter, shown or not. */
  readonly matching: number;
  /** Over all locks, whatever the filter. */
  readonly totals: { readonly held: number; readonly waiting: number; readonly processes: number };
  /** `false` while the first look at the locks goes on. */
  readonly complete: boolean;
  /** Whether there are more locks than the server looks at. */
  readonly more: boolean;
  readonly silent: readonly { readonly backend: string; readonly why: 'no answer' | 'no list' }[];
  /** The waits that ended in the process that serves the page, the oldest first. */
  readonly waits: {
    readonly barMs: number;
    readonly bars: readonly { readonly count: number; readonly longestMs: number; readonly failed: number }[];
  };
}

/** A lock. Times are in milliseconds, as of the moment when the frame was sent. */
export interface Row {
  readonly backend: string;
  readonly key: string;
  readonly mode: 'exclusive' | 'shared';
  readonly limit: number;
  /** How many hold it; `holders` may name fewer. */
  readonly held: number;
  readonly holders: readonly Holder[];
  /** How many wait; `waiters` may name fewer, or none. */
  readonly waiting: number;
  readonly waiters: readonly { readonly owner: string; readonly waitingMs?: number }[];
  /** What each server says, where a majority of several decides. */
  readonly nodes?: readonly NodeRow[];
}

/** Who has the vote of one server and how many wait there, or why it says nothing. */
export type NodeRow =
  | { readonly node: string; readonly owners: readonly string[]; readonly waiting: number }
  | { readonly node: string; readonly error: string };

export interface Holder {
  readonly owner: string;
  /** Until the server lets go unless the holder renews. */
  readonly leaseMs: number;
  readonly heldMs?: number;
  readonly token?: string;
}

/** What the page asks for when it takes a lock away. */
export interface ReleaseRequest {
  readonly backend: string;
  readonly key: string;
  /** Those who held it when the question was asked. If others do by now, nothing happens. */
  readonly owners: readonly string[];
}

export type ReleaseAnswer = { readonly outcome: 'released' | 'free' | 'changed' };
