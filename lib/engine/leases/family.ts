import type { Attempt, Busy, Claim, Conflict, Grant, KeyBackend, LockBackend, Waiter } from '../../backends/backend.js';
import type { Clock } from '../time/clock.js';
import type { Watchdog } from './watchdog.js';
import { Lease } from './lease.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import { confirmed, unconfirmed } from './local-hand-over.js';
import { SessionFamily } from './session-family.js';
import { believedUntil, type NotYet, pushedSince } from './validity.js';

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
  /** See `KeyBackend.nodeOf`. */
  nodeOf?(lease: Lease): string | undefined;
  close(): Promise<void>;
}

export interface FamilyOptions {
  readonly clock: Clock;
  readonly callTimeout: number;
  readonly watchdog: () => Watchdog;
  readonly undo: () => ReleaseRetries;
}

export function familyOf(backend: LockBackend, options: FamilyOptions): Family {
  return backend.family === 'key' ? keyFamily(backend, options) : new SessionFamily(backend, options);
}

/** Each lock has a lease of its own. */
function keyFamily(backend: KeyBackend, { clock, watchdog }: FamilyOptions): Family {
  const detach = (_: Claim, lease: Lease): Promise<void> | undefined => {
    lease.end();
    return watchdog().drop(lease);
  };
  return {
    attempt: (claim, waiter) => backend.attempt(claim, waiter),
    ...(backend.attemptAll && { attemptAll: backend.attemptAll.bind(backend) }),
    release: (claim, keepMs, before) =>
      before.length === 0 ? backend.release(claim, keepMs) : backend.release(claim, keepMs, ownersOf(before)),
    ...(backend.downgrade && { downgrade: backend.downgrade.bind(backend) }),
    attach(claim, since, ttl, renewed) {
      const lease = new Lease(clock, { claim }, believedUntil(since, ttl), claim.ttl);
      if (!lease.live) return undefined;
      watchdog().keep(lease, renewed);
      return lease;
    },
    detach,
    pushedSince,
    renew: (leases) => renew(backend, leases),
    ...(backend.nodeOf && {
      nodeOf: ({ subject }) => ('claim' in subject ? backend.nodeOf?.(subject.claim.key) : undefined),
    }),
    async close() {},
  };
}

/** Each kind in its own way. Where all fail, so does this. */
async function renew(backend: KeyBackend, leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]> {
  if (!leases.some(({ succession }) => succession)) return backend.renew(leases.flatMap(claimToRenew));
  const [only] = leases;
  if (leases.length === 1 && only) return [await renewOrTakeOver(backend, only)];
  const outcomes = await Promise.allSettled(leases.map((lease) => renewOrTakeOver(backend, lease)));
  const [first] = outcomes;
  if (first?.status === 'rejected' && outcomes.every(({ status }) => status === 'rejected')) throw first.reason;
  return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
}

async function renewOrTakeOver(backend: KeyBackend, lease: Lease): Promise<boolean | undefined> {
  const { succession } = lease;
  const claim = claimToRenew(lease);
  if (!('owner' in claim)) return undefined;
  if (!succession) return (await backend.renew([claim]))[0];
  const answer = await backend.takeOver?.(claim, ownersOf(unconfirmed(lease)), succession.fencingToken);
  if (answer === 'gone') return false;
  confirmed(lease);
  lease.overtaking = answer === 'overtaking';
  return true;
}

const ownersOf = (claims: readonly Claim[]): readonly string[] => claims.map(({ owner }) => owner);

/** Nearly always as it is: there are so many that a copy of each would count. */
function claimToRenew({ subject, renewTo }: Lease): Claim | [] {
  if (!('claim' in subject)) return [];
  const { claim } = subject;
  return renewTo === claim.ttl ? claim : { ...claim, ttl: renewTo };
}
