import type { Attempt, Claim, KeyBackend, Waiter } from '../../backends/backend.js';
import type { Family, FamilyTools } from './family.js';
import { Lease } from './lease.js';
import { believedUntil, pushedSince } from './validity.js';

/** Each lock has a lease of its own. */
export class KeyFamily implements Family {
  readonly attemptAll?: NonNullable<Family['attemptAll']>;
  readonly downgrade?: NonNullable<Family['downgrade']>;
  readonly pushedSince = pushedSince;
  /** Owners whose renewed lease is overdue and that are letting go: the server is to keep it until it hears of that. */
  readonly #leaving = new Set<string>();
  readonly #stopKeeping: (() => void) | undefined;

  constructor(
    private readonly backend: KeyBackend,
    private readonly tools: Pick<FamilyTools, 'clock' | 'watchdog'>,
  ) {
    if (backend.attemptAll) this.attemptAll = backend.attemptAll.bind(backend);
    if (backend.downgrade) this.downgrade = backend.downgrade.bind(backend);
    const { watchdog } = tools;
    this.#stopKeeping = backend.keepRenewed?.((owner) => watchdog.renews(owner) || this.#leaving.has(owner));
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    return this.backend.attempt(claim, waiter);
  }

  release(claim: Claim, keepMs: number, before: readonly Claim[]): Promise<boolean> {
    const released = this.#release(claim, keepMs, before);
    this.#leaving.delete(claim.owner);
    return released;
  }

  #release(claim: Claim, keepMs: number, before: readonly Claim[]): Promise<boolean> {
    const { handOver } = this.backend;
    return before.length > 0 && handOver
      ? handOver.release(claim, ownersOf(before), keepMs)
      : this.backend.release(claim, keepMs);
  }

  attach(claim: Claim, since: number, ttl: number, renewed: boolean): Lease | undefined {
    const lease = new Lease(
      this.tools.clock,
      { claim },
      believedUntil(since, ttl),
      claim.ttl,
      this.#stopKeeping !== undefined,
    );
    if (!lease.live) return undefined;
    this.tools.watchdog.keep(lease, renewed);
    return lease;
  }

  detach({ owner }: Claim, lease: Lease): Promise<void> | undefined {
    if (lease.kept && lease.live && lease.isOverdue) this.#leaving.add(owner);
    lease.end();
    return this.tools.watchdog.drop(lease);
  }

  /** Asks for each kind in its own way. Rejects only if all of them fail. */
  async renew(leases: readonly Lease[]): Promise<readonly (boolean | undefined)[]> {
    if (!leases.some(isTakenOver)) return this.backend.renew(leases.flatMap(claimToRenew));
    const [only] = leases;
    if (leases.length === 1 && only) return [await this.#renewOrTakeOver(only)];
    const outcomes = await Promise.allSettled(leases.map((lease) => this.#renewOrTakeOver(lease)));
    const [first] = outcomes;
    if (first?.status === 'rejected' && outcomes.every(({ status }) => status === 'rejected')) throw first.reason;
    return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined));
  }

  async close(): Promise<void> {
    this.#stopKeeping?.();
  }

  async #renewOrTakeOver(lease: Lease): Promise<boolean | undefined> {
    const { succession } = lease;
    const [claim] = claimToRenew(lease);
    if (!claim) return undefined;
    const token = succession.unconfirmedToken;
    if (token === undefined) return (await this.backend.renew([claim]))[0];
    const answer = await this.backend.handOver?.takeOver(claim, ownersOf(succession.unconfirmed()), token);
    if (answer === 'gone') return false;
    succession.confirm(answer === 'overtaking');
    return true;
  }
}

const isTakenOver = ({ succession }: Lease): boolean => succession.unconfirmedToken !== undefined;

const ownersOf = (claims: readonly Claim[]): readonly string[] => claims.map(({ owner }) => owner);

/** Renewals are frequent, so the claim is copied only when its ttl differs. */
function claimToRenew({ subject, renewTo }: Lease): [] | [Claim] {
  if (!('claim' in subject)) return [];
  const { claim } = subject;
  return [renewTo === claim.ttl ? claim : { ...claim, ttl: renewTo }];
}
