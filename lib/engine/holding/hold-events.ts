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

/** The name of a held lock in the log. */
export interface HeldNow extends Labels {
  readonly key: string;
  readonly heldMs: number;
}

/** Reports one held lock to listeners, and its end exactly once. */
export class HoldEvents implements Ending {
  readonly acquiredAt: number;
  #isEndTold = false;
  #byShutdown = false;

  /** @param observer observes this lock from its call on */
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

  /** Runs work inside the context that the observer sets up. */
  around<T>(work: () => T): T {
    return within(this.observer, work);
  }

  /** The application ended it, which is not a loss. */
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

  /** The release is sent. The end is reported when the server answers, or when the next holder of the key is reported. */
  ending(): void {
    const isHeard = this.observer !== undefined || this.tools.listeners.hears('released');
    if (!this.#isEndTold && isHeard) this.tools.endings.expect(this);
  }

  /** @param loss the release showed that the lock was lost earlier */
  ended(loss?: Loss): void {
    if (loss) this.lost(loss);
    else this.tell();
    this.tools.endings.forget(this);
  }

  /** Reports that it was released. */
  tell(): void {
    if (this.#isEndTold) return;
    this.#isEndTold = true;
    this.tools.listeners.emit('released', () => this.#released(), this.observer);
  }

  /** Builds the event field by field, because every lock has one. */
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
