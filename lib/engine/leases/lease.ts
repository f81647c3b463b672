import type { Claim, Session } from '../../backends/backend.js';
import type { Clock } from '../time/clock.js';
import type { Due } from '../time/timer-queue.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import type { Loss } from './loss.js';
import { Succession } from './succession.js';
import { believedUntil } from './validity.js';

/** The server's side of a lease: a single claim (key family), or a session with many claims. */
export type Subject = { readonly claim: Claim } | { readonly session: Session };

/** Hears of a lease. */
export interface LeaseListener {
  /** The lease has ended, or is not certain any more. Called once. */
  lost(loss: Loss): void;
  /** The server did not confirm a renewal. It is tried again while the lease lasts. */
  renewalFailed?(error: unknown, remainingMs: number): void;
}

/** What the watchdog knows of one lease. Only the watchdog changes it. */
export class Watch implements Listed, Due {
  place = NOWHERE;
  due: Due['due'];
  /** Whether the watchdog renews the lease. Otherwise it only reports its end. */
  renewed = false;
  /** The renewal in flight. There is one at a time. */
  renewing: Promise<void> | undefined;

  constructor(readonly lease: Lease) {}
}

/** One lease on a server, as far as this process can rely on it. Locks are attached to leases. */
export class Lease {
  readonly watch = new Watch(this);
  /** Its place among owners of this process that handed the key to each other. */
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
    /** Whether the server keeps it for as long as it is renewed here, also when a renewal comes late: see `KeyBackend.keepRenewed`. */
    readonly kept = false,
  ) {
    this.#validUntil = validUntil;
    this.#renewTo = this.#longest = renewTo;
  }

  /** Reads the clock, so it is right even when no timer has run since the lease ended. */
  get live(): boolean {
    return !this.#ended && ((this.kept && this.watch.renewed) || !this.isOverdue);
  }

  /** Whether its time is over. */
  get isOverdue(): boolean {
    return this.clock.now() >= this.#validUntil;
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

  /** The length that renewals ask for, in milliseconds. It is longer than the first lease when the grant was pushed. */
  get renewTo(): number {
    return this.#renewTo;
  }

  /** The longest length that the server was ever asked for. The server keeps it, even if later renewals ask for less. */
  get longest(): number {
    return this.#longest;
  }

  /** The renewal that is on its way. Await it before you give up the lease. */
  get renewing(): Promise<void> | undefined {
    return this.watch.renewing;
  }

  /** Sets the length that renewals ask for from here on. */
  renewFor(ttl: number): void {
    this.#renewTo = ttl;
    this.#longest = Math.max(this.#longest, ttl);
  }

  /** The server confirmed a renewal that was sent at `sentAt`. A lease that has ended stays ended, because its holder was told. */
  confirm(sentAt: number, ttl: number): void {
    this.#validUntil = Math.max(this.#validUntil, believedUntil(sentAt, ttl));
  }

  listen(listener: LeaseListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: LeaseListener): void {
    this.#listeners.delete(listener);
  }

  /** Ends the lease and tells its listeners. */
  lose(loss: Loss): void {
    if (this.#ended) return;
    this.#ended = this.#lost = true;
    for (const listener of [...this.#listeners]) listener.lost(loss);
  }

  /** Ends the lease silently, because its owner gave it up. */
  end(): void {
    this.#ended = true;
  }

  renewalFailed(error: unknown): void {
    for (const listener of [...this.#listeners]) listener.renewalFailed?.(error, this.remainingMs);
  }
}
