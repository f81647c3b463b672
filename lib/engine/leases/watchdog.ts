import { ask } from '../asking/ask.js';
import type { Clock } from '../time/clock.js';
import { type Due, TimerQueue } from '../time/timer-queue.js';
import type { Lease } from './lease.js';
import { type Listed, NOWHERE, UnorderedList } from '../time/unordered-list.js';

/** How many leases one call renews. */
const BATCH = 100;

/** How soon a renewal that failed is tried again at least, in milliseconds, unless the lease is very short. */
const SOONEST_RETRY_MS = 50;

/** A lease that a watchdog tends. */
export interface WatchedLease extends Listed, Due {
  readonly lease: Lease;
  /** The watch-dog; without it the watchdog only tells the end. */
  readonly renewed: boolean;
}

export interface WatchdogOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** The longest a renewal is waited for, in milliseconds. */
  readonly callTimeout: number;
  /** Renews the leases in one call; for each whether it still lives, or `undefined` where that is not known. */
  readonly renew: (leases: readonly Lease[]) => Promise<readonly (boolean | undefined)[]>;
  /** The server that has the lease, where there are several: each is asked by itself. */
  readonly nodeOf?: ((lease: Lease) => string | undefined) | undefined;
}

/**
 * The watch-dog. One timer for all leases: those due together are renewed in one call, a third of the lease after the last
 * confirmation. An unknown outcome neither renews nor loses: it is tried again, faster, until the lease has ended on our own
 * clock. Each batch stands alone; what fails in one does not touch another.
 */
export class Watchdog {
  readonly #kept = new UnorderedList<WatchedLease>();
  readonly #due: TimerQueue<WatchedLease>;
  /** WatchedLease since this turn of the event loop began. Whoever waits for the lock goes first. */
  #new: WatchedLease[] = [];

  constructor(private readonly options: WatchdogOptions) {
    this.#due = new TimerQueue(options.clock, true, (due) => this.#tend(due));
  }

  keep(lease: Lease, renewed: boolean): void {
    const kept = this.#keep(lease, renewed);
    if (this.#new.push(kept) === 1) process.nextTick(() => this.#admit());
  }

  /** Keeps a lease that the server has not heard of, and renews it at once. As `renewNow`. */
  keepAndRenew(lease: Lease): Promise<boolean> {
    return this.#renewAlone(this.#keep(lease, true));
  }

  /** Stops tending the lease. Returns the renewal that is on its way, if any: a release must not be overtaken by it. */
  drop(lease: Lease): Promise<void> | undefined {
    this.#forget(lease);
    return lease.renewing;
  }

  /** Renews now. Resolves to what the server said; rejects when it did not. */
  async renewNow(lease: Lease, ttl = lease.renewTo): Promise<boolean> {
    // One at a time: a server that is asked twice at once may answer both with what it did for one.
    while (lease.renewing) await lease.renewing;
    if (lease.ended) return false;
    lease.renewTo = ttl;
    lease.longest = Math.max(lease.longest, ttl);
    // A lock's share in a session is not tended by itself, but may be asked for.
    return this.#renewAlone(lease.watched ?? { lease, renewed: false, place: NOWHERE, due: undefined });
  }

  async #renewAlone(kept: WatchedLease): Promise<boolean> {
    let outcome: boolean | undefined;
    let failure: unknown;
    await this.#renew([kept], (held, error) => {
      outcome = held;
      failure = error;
    });
    if (outcome === undefined) throw failure;
    return outcome;
  }

  /** Somebody knows better: the lease of that owner's claim is gone. */
  lose(owner: string, reason: string): void {
    for (const { lease } of this.#kept) {
      if ('claim' in lease.subject && lease.subject.claim.owner === owner) this.#lose(lease, reason);
    }
  }

  get size(): number {
    return this.#kept.size;
  }

  stop(): void {
    this.#due.stop();
    for (const kept of this.#kept) this.#kept.remove(kept);
    this.#new = [];
  }

  #keep(lease: Lease, renewed: boolean): WatchedLease {
    const kept = { lease, renewed, place: NOWHERE, due: undefined };
    lease.watched = kept;
    this.#kept.add(kept);
    return kept;
  }

  #admit(): void {
    const admitted = this.#new;
    this.#new = [];
    for (const kept of admitted) {
      // Locks taken in one burst are not renewed in one: the first renewal comes anywhere in the second half of its time.
      if (isWatched(kept) && !kept.lease.renewing) this.#schedule(kept, 0.5 + this.options.random() / 2);
    }
  }

  #schedule(kept: WatchedLease, share = 1): void {
    const { lease, renewed } = kept;
    if (!renewed) return this.#due.at(lease.validUntil, kept);
    const third = Math.min(lease.renewTo, lease.remainingMs) / 3;
    // Rounded down to a twentieth of the period, which is the same for all of one length, so that what is due at about the same
    // time goes in one call.
    const step = Math.max(1, lease.renewTo / 60);
    const at = this.options.clock.now() + third * share;
    this.#due.at(Math.min(Math.floor(at / step) * step, lease.validUntil), kept);
  }

  #tend(due: readonly WatchedLease[]): void {
    const toRenew: WatchedLease[] = [];
    for (const kept of due) {
      const { lease, renewed } = kept;
      if (!lease.live) this.#lose(lease, 'its lease ran out before the server confirmed a renewal');
      else if (lease.renewing || !renewed) this.#due.at(lease.validUntil, kept);
      else toRenew.push(kept);
    }
    for (const together of this.#byNode(toRenew)) {
      for (let i = 0; i < together.length; i += BATCH) void this.#renew(together.slice(i, i + BATCH));
    }
  }

  #byNode(kept: readonly WatchedLease[]): Iterable<readonly WatchedLease[]> {
    const { nodeOf } = this.options;
    if (!nodeOf || kept.length < 2) return [kept];
    const byNode = new Map<string | undefined, WatchedLease[]>();
    for (const one of kept) {
      const node = nodeOf(one.lease);
      const others = byNode.get(node);
      if (others) others.push(one);
      else byNode.set(node, [one]);
    }
    return byNode.values();
  }

  #renew(batch: readonly WatchedLease[], tell?: (held: boolean | undefined, error: unknown) => void): Promise<void> {
    const sentAt = this.options.clock.now();
    const leases = batch.map(({ lease }) => lease);
    // What was asked for, whatever is asked for by the time of the answer.
    const ttls = leases.map(({ renewTo }) => renewTo);
    const shortest = Math.min(...leases.map((lease) => lease.remainingMs));
    // A quarter of the lease at most, so that there is time to try again.
    const limit = Math.min(this.options.callTimeout, Math.max(shortest / 4, 20));
    const settled = (answers: readonly (boolean | undefined)[], failure?: unknown): void =>
      batch.forEach((kept, index) => {
        const held = answers[index];
        const error = held === undefined ? (failure ?? new Error('the server did not confirm the renewal')) : undefined;
        this.#settled(kept, held, sentAt, ttls[index] ?? 0, error);
        tell?.(held, error);
      });
    const { clock, renew } = this.options;
    const done = ask(clock, limit, () => renew(leases)).then(
      (answers) => settled(answers),
      (error: unknown) => settled([], error),
    );
    for (const kept of batch) {
      const { lease } = kept;
      lease.renewing = done;
      // The end is told in time also where that comes before any answer.
      if (limit >= shortest) this.#atOrBeforeEnd(kept, Infinity);
    }
    return done;
  }

  #settled(kept: WatchedLease, held: boolean | undefined, sentAt: number, ttl: number, error: unknown): void {
    const { lease } = kept;
    lease.renewing = undefined;
    if (lease.ended) return;
    if (held === false) {
      this.#lose(lease, 'the server no longer has it: it expired, was taken away, or the server lost its data');
    } else if (held) {
      lease.confirm(sentAt, ttl);
      if (isWatched(kept)) this.#schedule(kept);
    } else {
      lease.renewalFailed(error);
      this.#atOrBeforeEnd(kept, this.options.clock.now() + retryAfter(lease));
    }
  }

  #atOrBeforeEnd(kept: WatchedLease, time: number): void {
    if (isWatched(kept)) this.#due.at(Math.min(time, kept.lease.validUntil), kept);
  }

  #lose(lease: Lease, reason: string): void {
    this.#forget(lease);
    lease.lose(reason);
  }

  #forget(lease: Lease): void {
    if (!lease.watched) return;
    this.#due.remove(lease.watched);
    this.#kept.remove(lease.watched);
  }
}

/** A twelfth of the lease, or of what is left of it where it came from another owner and is shorter than its own will be. */
const retryAfter = ({ renewTo, remainingMs }: Lease): number =>
  Math.min(renewTo / 12, Math.max(remainingMs / 12, SOONEST_RETRY_MS));

const isWatched = (kept: WatchedLease): boolean => kept.place !== NOWHERE;
