import type { Claim } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Family } from './family.js';
import { forItsLongest, type HeldKey } from './held-key.js';
import type { LocalHandOver } from './local-hand-over.js';
import type { Withdrawals } from './withdrawals.js';

/** Where a key goes that its holder lets go of: to the next in line in this process, or back to the server. */
export class LettingGo {
  constructor(
    private readonly handOver: Pick<LocalHandOver, 'handOn'>,
    private readonly family: Pick<Family, 'detach'>,
    private readonly withdrawals: Withdrawals,
  ) {}

  /**
   * @param keepMs how long the server keeps the key closed after that, in milliseconds
   * @param exclusive whether it is exclusive on the server, for certain; otherwise others may hold it too
   */
  letGo(held: HeldKey, keepMs: number, exclusive: boolean): Promise<Released> {
    const handedOn = keepMs > 0 || !exclusive ? undefined : this.handOver.handOn(held);
    return handedOn ? handedOn.then((released) => released ?? this.#giveBack(held, 0)) : this.#giveBack(held, keepMs);
  }

  /** Takes back what a question may have brought about that the server got only after the release. */
  async again({ claim, lease }: HeldKey): Promise<void> {
    // The server may still have it for the sake of somebody who took it over.
    if (!lease.succession.isStandIn) await this.withdrawals.withdraw(claim);
  }

  #giveBack(held: HeldKey, keepMs: number): Promise<Released> {
    // Unconfirmed, it is tried again for as long as the server may keep the lease.
    const longest: Claim = forItsLongest(held);
    const quiet = this.family.detach(held.claim, held.lease);
    const before = held.lease.succession.unconfirmed();
    // A renewal on its way would otherwise arrive after the release. That of a takeover may: it then finds nothing to take over.
    return quiet && before.length === 0
      ? quiet.then(() => this.withdrawals.withdraw(longest, keepMs))
      : this.withdrawals.withdraw(longest, keepMs, before);
  }
}
