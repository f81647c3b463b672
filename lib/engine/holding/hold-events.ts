import type { Emit } from '../telling/listeners.js';
import type { Clock } from '../time/clock.js';
import type { HoldDetails } from './hold-errors.js';

export interface HoldEventsTools {
  readonly clock: Clock;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly emit: Emit;
}

/** What one lock that is held tells to those who listen. */
export class HoldEvents {
  readonly acquiredAt: number;

  constructor(
    private readonly hold: { readonly key: string; readonly owner: string },
    private readonly tools: HoldEventsTools,
  ) {
    this.acquiredAt = tools.clock.now();
  }

  /** Milliseconds since it was acquired. */
  get heldMs(): number {
    return this.tools.clock.now() - this.acquiredAt;
  }

  get details(): HoldDetails {
    return { key: this.hold.key, backend: this.tools.backendName };
  }

  lost(reason: string): void {
    this.tools.emit(() => ({ type: 'lost', ...this.#names(), heldMs: this.heldMs, reason }));
  }

  released(): void {
    this.tools.emit(() => ({ type: 'released', ...this.#names(), heldMs: this.heldMs }));
  }

  renewalFailed(error: unknown, remainingMs: number): void {
    this.tools.emit(() => ({ type: 'renewal-failed', ...this.#names(), error, remainingMs }));
  }

  #names(): HoldDetails & { readonly owner: string } {
    return { ...this.details, owner: this.hold.owner };
  }
}
