import type { Claim, Session } from '../../backends/backend.js';
import type { Clock } from '../time/clock.js';
import type { Due } from '../time/timer-queue.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import type { Loss } from './loss.js';
import { Succession } from './succession.js';
import { believedUntil } from './validity.js';

/** What a lease is on the server: a claim's own (key family), or a session that many claims hang from. */
export type Subject = { readonly claim: Claim } | { readonly session: Session };

/** What the owner of a lease wants to know of it. */
export interface LeaseListener {
  /** It has ended, or cannot be surely held any more. Comes once. */
  lost(loss: Loss): void;
  /** A renewal was not confirmed. It is tried again while the lease lasts. */
  renewalFailed?(error: unknown, remainingMs: number): void;
}

/** What the watchdog knows of one lease. Only the watchdog changes it. */
export class Watch implements Listed, Due {
  place = NOWHERE;
  due: Due['due'];
  /** Whether the lease is renewed; without that the watchdog only tells its end. */
  renewed = false;
  /** The renewal in flight. There is one at a time. */
  renewing: Promise<void> | undefined;

  constructor(readonly lease: Lease) {}
}

/** One lease on a server, as far as this process may believe in it. The unit of liveness: locks hang from leases. */
export class Lease {
  readonly watch = new Watch(this);
  /** How it came from another owner of this process, and went to the next. */
  readonly succession = new Succession(this);
  #validUntil: number;
  #renewTo: number;
  #longest: number;
  #ended = false;
  #lost = false;
  readonly #listeners = new Set<LeaseListener>();

  constructor(
    private readonly clock: Clock,
    readonly subject: Subject,
    validUntil: number,
    renewTo: number,
  ) {
    this.#validUntil = validUntil;
    this.#renewTo = this.#longest = renewTo;
  }

  /** Asks the clock, so it is true also when no timer has run since the lease ended. */
  get live(): boolean {
    return !this.#ended && this.clock.now() < this.#validUntil;
  }

  /** Whether it ended against its owner's will. */
  get wasLost(): boolean {
    return this.#lost;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get validUntil(): number {
    return this.#validUntil;
  }

  get remainingMs(): number {
    return this.#ended ? 0 : Math.max(0, this.#validUntil - this.clock.now());
  }

  /** What renewals ask for, in milliseconds; longer than the first lease when the grant was pushed. */
  get renewTo(): number {
    return this.#renewTo;
  }

  /** The longest that the server was ever asked to keep it for, which it does though it was asked for less since. */
  get longest(): number {
    return this.#longest;
  }

  /** The renewal that is on its way, to be awaited before the lease is let go. */
  get renewing(): Promise<void> | undefined {
    return this.watch.renewing;
  }

  /** From here on renewals ask for that long. */
  renewFor(ttl: number): void {
    this.#renewTo = ttl;
    this.#longest = Math.max(this.#longest, ttl);
  }

  /** A renewal sent at `sentAt` was confirmed. A lease that has already ended stays so: its holder was told. */
  confirm(sentAt: number, ttl: number): void {
    this.#validUntil = Math.max(this.#validUntil, believedUntil(sentAt, ttl));
  }

  listen(listener: LeaseListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: LeaseListener): void {
    this.#listeners.delete(listener);
  }

  /** Ends the belief and tells so. */
  lose(loss: Loss): void {
    if (this.#ended) return;
    this.#ended = this.#lost = true;
    for (const listener of [...this.#listeners]) listener.lost(loss);
  }

  /** Ends the belief in silence: it was let go on purpose. */
  end(): void {
    this.#ended = true;
  }

  renewalFailed(error: unknown): void {
    for (const listener of [...this.#listeners]) listener.renewalFailed?.(error, this.remainingMs);
  }
}
