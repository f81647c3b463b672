import type { Attempt, Busy, Claim, Conflict, Grant, Waiter } from '../../backends/backend.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Lease } from './lease.js';
import type { NotYet } from './validity.js';
import type { Watchdog } from './watchdog.js';

/**
 * The one difference between the two families of backends, taken out of everybody else's way: what a grant's lease is, and how
 * leases are renewed.
 */
export interface Family {
  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt>;
  attemptAll?(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /** @param before those it took the key over from inside of this process, where the server may not know of that */
  release(claim: Claim, keepMs: number, before: readonly Claim[]): Promise<boolean>;
  downgrade?(claim: Claim): Promise<boolean>;
  /** The lease that a grant hangs from, already kept alive if `renewed`; `undefined` when it is over before it began. */
  attach(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined;
  /** The grant is let go of. What it returns is to be awaited before the release: a renewal of the lease that is on its way. */
  detach(claim: Claim, lease: Lease): Promise<void> | undefined;
  /** Since when a pushed grant counts, or `undefined` when it is only a hint to look. */
  pushedSince(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined;
  renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]>;
  /** Nothing is asked for any more, and `close` follows: what it ends on the server at once need not be released one by one. */
  closing?(): void;
  close(): Promise<void>;
}

export interface FamilyTools {
  readonly clock: Clock;
  /** The longest a single call to the server is waited for, in milliseconds. */
  readonly callTimeout: number;
  readonly watchdog: Watchdog;
  readonly retries: ReleaseRetries;
}
