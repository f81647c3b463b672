import type { LockReleasedEvent } from '../../lock/events.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import type { Labels } from '../../lock/labels.js';
import type { LockMode } from '../../lock/lock-mode.js';
import { measured } from '../../lock/milliseconds.js';
import type { Loss } from '../leases/loss.js';
import type { EventListeners } from '../telling/listeners.js';
import { within } from '../telling/within.js';
import type { Clock } from '../time/clock.js';
import type { Ending, Endings } from './endings.js';
import type { HoldDetails } from './hold-errors.js';

export interface HoldEventsTools {
  readonly clock: Clock;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly listeners: Pick<EventListeners, 'emit' | 'hears'>;
  readonly endings: Endings;
}

interface Told {
  readonly key: string;
  readonly keys: readonly string[];
  readonly owner: string;
  readonly mode: LockMode;
  readonly limit: number;
}

/** A lock that is held, as the log names it. */
export interface HeldNow extends Labels {
  readonly key: string;
  readonly heldMs: number;
}

/** What one lock that is held tells to those who listen, in particular its end, once. */
export class HoldEvents implements Ending {
  readonly acquiredAt: number;
  #isEndTold = false;
  #byShutdown = false;

  /** @param observer who follows this lock from its call on */
  constructor(
    private readonly hold: Told,
    private readonly labels: Labels,
    private readonly tools: HoldEventsTools,
    private readonly observer: LockObserver | undefined,
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

  get keys(): readonly string[] {
    return this.hold.keys;
  }

  get mode(): LockMode {
    return this.hold.mode;
  }

  get limit(): number {
    return this.hold.limit;
  }

  get now(): HeldNow {
    const { name, method } = this.labels;
    return { key: this.hold.key, name, method, heldMs: this.heldMs };
  }

  /** Runs work in what the observer puts around it. */
  around<T>(work: () => T): T {
    return within(this.observer, work);
  }

  /** Its end is that of the application, which is no loss. */
  shutDown(): void {
    this.#byShutdown = true;
  }

  lost({ code, text }: Loss): void {
    if (code === 'shutdown') return this.shutDown();
    if (this.#isEndTold) return;
    this.#isEndTold = true;
    this.tools.listeners.emit(
      'lost',
      () => ({ type: 'lost', ...this.#names(), heldMs: measured(this.heldMs), reasonCode: code, reason: text }),
      this.observer,
    );
  }

  /** Its release is sent: the end is told when that is answered, or when the next holder of the key is. */
  ending(): void {
    const isHeard = this.observer !== undefined || this.tools.listeners.hears('released');
    if (!this.#isEndTold && isHeard) this.tools.endings.expect(this);
  }

  /** @param loss the release showed that it was lost before */
  ended(loss?: Loss): void {
    if (loss) this.lost(loss);
    else this.tell();
    this.tools.endings.forget(this);
  }

  /** Tells that it was released. */
  tell(): void {
    if (this.#isEndTold) return;
    this.#isEndTold = true;
    this.tools.listeners.emit('released', () => this.#released(), this.observer);
  }

  /** Every lock has one, so it is made field by field. */
  #released(): LockReleasedEvent {
    const { key, owner } = this.hold;
    const { name, method } = this.labels;
    const heldMs = measured(this.heldMs);
    const event = { type: 'released', key, backend: this.tools.backendName, owner, name, method, heldMs } as const;
    return this.#byShutdown ? { ...event, reasonCode: 'shutdown' } : event;
  }

  renewalFailed(error: unknown, remainingMs: number): void {
    this.tools.listeners.emit(
      'renewal-failed',
      () => ({ type: 'renewal-failed', ...this.#names(), error, remainingMs: measured(remainingMs) }),
      this.observer,
    );
  }

  #names(): HoldDetails & Labels & { readonly owner: string } {
    const { name, method } = this.labels;
    return { key: this.hold.key, backend: this.tools.backendName, owner: this.hold.owner, name, method };
  }
}
