import type { Attempt, Busy, Claim, Conflict, Grant, Waiter } from '../../backends/backend.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Lease } from './lease.js';
import type { NotYet } from './validity.js';
import type { Watchdog } from './watchdog.js';

/** The one difference between the two families of backends, kept in one place: what the lease of a grant is, and how leases are renewed. */
export interface Family {
  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt>;
  attemptAll?(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined>;
  /** @param before earlier owners of this process that the server may still have as the holder */
  release(claim: Claim, keepMs: number, before: readonly Claim[]): Promise<boolean>;
  downgrade?(claim: Claim): Promise<boolean>;
  /** The lease of a grant, kept alive if `renewed`; `undefined` when it ended before the grant arrived. */
  attach(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined;
  /** The grant is given up. Await the returned promise before the release: it is a renewal of the lease that is on its way. */
  detach(claim: Claim, lease: Lease): Promise<void> | undefined;
  /** The time from which a pushed grant counts, or `undefined` when it is only a hint to ask. */
  pushedSince(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined;
  renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]>;
  /** No more questions come, and `close` follows. Locks that `close` ends on the server at once need no release of their own. */
  closing?(): void;
  close(): Promise<void>;
}

export interface FamilyTools {
  readonly clock: Clock;
  /** Time limit of a single call to the server, in milliseconds. */
  readonly callTimeout: number;
  readonly watchdog: Watchdog;
  readonly retries: ReleaseRetries;
}
