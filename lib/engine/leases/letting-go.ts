import type { Claim } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Family } from './family.js';
import { forItsLongest, type HeldKey } from './held-key.js';
import type { LocalHandOver } from './local-hand-over.js';
import type { Withdrawals } from './withdrawals.js';

/** Gives away a key that its holder releases: to the next waiter of this process, or back to the server. */
export class LettingGo {
  constructor(
    private readonly handOver: Pick<LocalHandOver, 'handOn'>,
    private readonly family: Pick<Family, 'detach'>,
    private readonly withdrawals: Withdrawals,
  ) {}

  /**
   * @param keepMs how long the server keeps the key closed afterwards, in milliseconds
   * @param exclusive whether it is certainly exclusive on the server; otherwise others may hold it too
   */
  letGo(held: HeldKey, keepMs: number, exclusive: boolean): Promise<Released> {
    const handedOn = keepMs > 0 || !exclusive ? undefined : this.handOver.handOn(held);
    return handedOn ? handedOn.then((released) => released ?? this.#giveBack(held, 0)) : this.#giveBack(held, keepMs);
  }

  /** Withdraws the claim again, because the server may have received a question only after the release. */
  async again({ claim, lease }: HeldKey): Promise<void> {
    // The server may still have this owner as the holder in place of its successor.
    if (!lease.succession.isStandIn) await this.withdrawals.withdraw(claim);
  }

  #giveBack(held: HeldKey, keepMs: number): Promise<Released> {
    // An unconfirmed release is repeated for as long as the server may keep the lease.
    const longest: Claim = forItsLongest(held);
    const quiet = this.family.detach(held.claim, held.lease);
    const before = held.lease.succession.unconfirmed();
    // A renewal on its way would arrive after the release. The renewal of a takeover may: it then finds nothing to take over.
    return quiet && before.length === 0
      ? quiet.then(() => this.withdrawals.withdraw(longest, keepMs))
      : this.withdrawals.withdraw(longest, keepMs, before);
  }
}
