import type { Claim } from '../../backends/backend.js';
import type { Clock } from '../time/clock.js';
import { Lease, type LeaseListener } from './lease.js';
import type { Loss } from './loss.js';
import { believedUntil } from './validity.js';

/** The lease of one lock in a session. It ends with the session's lease, or before. */
export class SessionLease extends Lease implements LeaseListener {
  /** @param renewed whether it lasts as long as the session; otherwise it lasts `ttl` at most */
  constructor(
    private readonly ownClock: Clock,
    claim: Claim,
    since: number,
    ttl: number,
    private readonly whole: Lease,
    private readonly renewed: boolean,
  ) {
    super(ownClock, { claim }, believedUntil(since, ttl), ttl);
  }

  override get live(): boolean {
    return this.whole.live && (this.renewed ? !this.ended : super.live);
  }

  override get validUntil(): number {
    return this.renewed ? this.whole.validUntil : Math.min(super.validUntil, this.whole.validUntil);
  }

  override get remainingMs(): number {
    return this.live ? Math.max(0, this.validUntil - this.ownClock.now()) : 0;
  }

  lost(loss: Loss): void {
    this.lose(loss);
  }
}
