import type { LockInfo } from './lock.js';

/** Which locks to list, and how many at a time. */
export interface ListOptions {
  /** The keys to list, without the module's prefix; `*` stands for any text, as in `order:*`. @default '*', all keys */
  readonly match?: string;
  /** How many locks a page has at most, from 1 to 1,000. @default 100 */
  readonly limit?: number;
  /** Where the page before ended: its `cursor`. Without one the list begins. */
  readonly cursor?: string;
}

/**
 * A page of the locks that are held or waited for, in no particular order. A lock that changes meanwhile may come twice or be missing.
 * A page may have fewer locks than its limit, or none, although another one follows: go on for as long as there is a `cursor`.
 */
export interface LockPage {
  readonly locks: readonly LockInfo[];
  /** Where the next page begins; absent on the last one. */
  readonly cursor?: string;
}
