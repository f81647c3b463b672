import type { Claim } from '../../backends/backend.js';
import type { Labels } from '../../lock/labels.js';
import type { Released } from '../asking/release-retries.js';
import type { Family } from '../leases/family.js';
import type { HeldKey } from '../leases/held-key.js';
import type { Withdrawals } from '../leases/withdrawals.js';
import type { ResolvedOptions } from '../options/options.js';

export interface ClaimTools {
  /** The prefix of every key on the server. */
  readonly prefix: string;
  /** Makes an owner for a new claim. */
  readonly nextOwner: () => string;
  readonly family: Pick<Family, 'attach' | 'detach'>;
  readonly withdrawals: Withdrawals;
}

/** The claims of one call of `acquire`. It makes them, turns them into leases when they are granted, and withdraws them. */
export class Claims {
  #owner = '';
  #withdrawn: Set<Claim> | undefined;

  constructor(
    private readonly options: ResolvedOptions,
    private readonly tools: ClaimTools,
  ) {}

  /** The owner of the first claim, which names the call. */
  get owner(): string {
    return this.#owner;
  }

  for(key: string): Claim & Labels {
    const { mode, limit, ttl, claimTtl, name, method } = this.options;
    const owner = this.tools.nextOwner();
    this.#owner ||= owner;
    return { key: this.tools.prefix + key, owner, mode, limit, ttl, claimTtl, name, method };
  }

  /** @returns `undefined` when the lease was over before the grant arrived */
  attach(claim: Claim, key: string, fencingToken: bigint | undefined, since: number, ttl: number): HeldKey | undefined {
    const lease = this.tools.family.attach(claim, since, ttl, this.options.renew);
    return lease && { key, claim, lease, fencingToken };
  }

  withdraw(claim: Claim, before?: readonly Claim[]): Promise<Released> {
    (this.#withdrawn ??= new Set()).add(claim);
    return this.tools.withdrawals.withdrawSoon(claim, before);
  }

  isWithdrawn(claim: Claim): boolean {
    return this.#withdrawn?.has(claim) ?? false;
  }

  /** Gives back the keys of a call that did not get all of them. */
  async rollBack(held: readonly HeldKey[]): Promise<void> {
    await Promise.all(
      [...held].reverse().map(async ({ claim, lease }) => {
        await this.tools.family.detach(claim, lease);
        await this.withdraw(claim, lease.succession.unconfirmed());
      }),
    );
  }
}
