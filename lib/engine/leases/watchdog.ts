import { ask } from '../asking/ask.js';
import type { Clock } from '../time/clock.js';
import { TimerQueue } from '../time/timer-queue.js';
import type { Lease, Watch } from './lease.js';
import { NOWHERE, UnorderedList } from '../time/unordered-list.js';
import { EXPIRED, type Loss, TAKEN } from './loss.js';

/** How many leases one call renews. */
const BATCH = 100;

/** Shortest delay before a failed renewal is tried again, in milliseconds, unless the lease is very short. */
const SOONEST_RETRY_MS = 50;

export interface WatchdogOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Time limit of a renewal, in milliseconds. */
  readonly callTimeout: number;
  /** Renews the leases in one call. Resolves for each to whether it still lives, or `undefined` where nobody knows. */
  readonly renew: (leases: readonly Lease[]) => Promise<readonly (boolean | undefined)[]>;
  /** The server of a lease, where there are several. Each server gets its own call. */
  readonly nodeOf?: ((lease: Lease) => string | undefined) | undefined;
}

/**
 * The watchdog has one timer for all leases. Leases that are due together are renewed in one call, a third of the lease after the last
 * confirmation. An unknown outcome neither renews nor loses a lease: the watchdog tries again, faster, until the lease has ended on our own
 * clock. Each batch stands alone, and a failure in one does not touch another.
 */
export class Watchdog {
  readonly #watched = new UnorderedList<Watch>();
  /** By the owner of its claim. A session has no owner. */
  readonly #byOwner = new Map<string, Watch>();
  readonly #due: TimerQueue<Watch>;
  /** Leases that are new in this turn of the event loop. The waiter for the lock goes first. */
  #new: Watch[] = [];

  constructor(private readonly options: WatchdogOptions) {
    this.#due = new TimerQueue(options.clock, true, (due) => this.#tend(due));
  }

  keep(lease: Lease, renewed: boolean): void {
    const watch = this.#keep(lease, renewed);
    if (this.#new.push(watch) === 1) process.nextTick(() => this.#admit());
  }

  /** Watches a lease that the server has not heard of, and renews it at once. As `renewNow`. */
  keepAndRenew(lease: Lease): Promise<boolean> {
    return this.#renewAlone(this.#keep(lease, true));
  }

  /** Stops watching the lease. Returns the renewal that is on its way, if any: it must not overtake a release. */
  drop(lease: Lease): Promise<void> | undefined {
    this.#forget(lease);
    return lease.renewing;
  }

  /** Renews now. Resolves to the server's answer, and rejects without one. */
  async renewNow(lease: Lease, ttl = lease.renewTo): Promise<boolean> {
    // One renewal at a time: a server that gets two at once may give both the answer of one.
    while (lease.renewing) await lease.renewing;
    if (lease.ended) return false;
    lease.renewFor(ttl);
    return this.#renewAlone(lease.watch);
  }

  async #renewAlone(watch: Watch): Promise<boolean> {
    let outcome: boolean | undefined;
    let failure: unknown;
    await this.#renew([watch], (held, error) => {
      outcome = held;
      failure = error;
    });
    if (outcome === undefined) throw failure;
    return outcome;
  }

  /** The lease of that owner's claim is gone, as the server reported. */
  lose(owner: string, loss: Loss): void {
    const watch = this.#byOwner.get(owner);
    if (watch) this.#lose(watch.lease, loss);
  }

  /** Whether a lease of that owner's claim is renewed here. */
  renews(owner: string): boolean {
    return this.#byOwner.get(owner)?.renewed === true;
  }

  get size(): number {
    return this.#watched.size;
  }

  stop(): void {
    this.#due.stop();
    for (const watch of this.#watched) this.#watched.remove(watch);
    this.#byOwner.clear();
    this.#new = [];
  }

  #keep(lease: Lease, renewed: boolean): Watch {
    const { watch } = lease;
    watch.renewed = renewed;
    this.#watched.add(watch);
    if ('claim' in lease.subject) this.#byOwner.set(lease.subject.claim.owner, watch);
    return watch;
  }

  #admit(): void {
    const admitted = this.#new;
    this.#new = [];
    for (const watch of admitted) {
      // Spread the locks of one burst: the first renewal comes anywhere in the second half of its time.
      if (isWatched(watch) && !watch.renewing) this.#schedule(watch, 0.5 + this.options.random() / 2);
    }
  }

  #schedule(watch: Watch, share = 1): void {
    const { lease, renewed } = watch;
    if (!renewed) return this.#due.at(lease.validUntil, watch);
    const third = Math.min(lease.renewTo, lease.remainingMs) / 3;
    // Round down to a twentieth of the period, which all leases of one length share. Leases that are due at about the same time then share
    // a call.
    const step = Math.max(1, lease.renewTo / 60);
    const at = this.options.clock.now() + third * share;
    this.#due.at(Math.min(Math.floor(at / step) * step, lease.validUntil), watch);
  }

  #tend(due: readonly Watch[]): void {
    const toRenew: Watch[] = [];
    for (const watch of due) {
      const { lease, renewed, renewing } = watch;
      if (!lease.live) this.#lose(lease, EXPIRED);
      else if (renewing || !renewed) this.#due.at(lease.validUntil, watch);
      else toRenew.push(watch);
    }
    for (const together of this.#byNode(toRenew)) {
      for (let i = 0; i < together.length; i += BATCH) void this.#renew(together.slice(i, i + BATCH));
    }
  }

  #byNode(watches: readonly Watch[]): Iterable<readonly Watch[]> {
    const { nodeOf } = this.options;
    if (!nodeOf || watches.length < 2) return [watches];
    const byNode = new Map<string | undefined, Watch[]>();
    for (const one of watches) {
      const node = nodeOf(one.lease);
      const others = byNode.get(node);
      if (others) others.push(one);
      else byNode.set(node, [one]);
    }
    return byNode.values();
  }

  #renew(batch: readonly Watch[], tell?: (held: boolean | undefined, error: unknown) => void): Promise<void> {
    const { clock, callTimeout, renew } = this.options;
    const sentAt = clock.now();
    // `renewTo` may change before the answer, so each keeps the length that this call asks for.
    const asked = batch.map((watch) => ({ watch, ttl: watch.lease.renewTo }));
    const shortest = Math.min(...batch.map(({ lease }) => lease.remainingMs));
    // At most a quarter of the lease, so that there is time to try again.
    const limit = Math.min(callTimeout, Math.max(shortest / 4, 20));
    const settled = (answers: readonly (boolean | undefined)[], failure?: unknown): void => {
      for (const [index, { watch, ttl }] of asked.entries()) {
        const held = answers[index];
        const error = held === undefined ? (failure ?? new Error('the server did not confirm the renewal')) : undefined;
        this.#settled(watch, held, sentAt, ttl, error);
        tell?.(held, error);
      }
    };
    const done = ask(clock, limit, () => renew(batch.map(({ lease }) => lease))).then(
      (answers) => settled(answers),
      (error: unknown) => settled([], error),
    );
    for (const watch of batch) {
      watch.renewing = done;
      // Report the end in time, even if it comes before any answer.
      if (limit >= shortest) this.#atOrBeforeEnd(watch, Infinity);
    }
    return done;
  }

  #settled(watch: Watch, held: boolean | undefined, sentAt: number, ttl: number, error: unknown): void {
    const { lease } = watch;
    watch.renewing = undefined;
    if (lease.ended) return;
    if (held === false) {
      this.#lose(lease, TAKEN);
    } else if (held) {
      lease.confirm(sentAt, ttl);
      if (isWatched(watch)) this.#schedule(watch);
    } else {
      lease.renewalFailed(error);
      this.#atOrBeforeEnd(watch, this.options.clock.now() + retryAfter(lease));
    }
  }

  #atOrBeforeEnd(watch: Watch, time: number): void {
    if (isWatched(watch)) this.#due.at(Math.min(time, watch.lease.validUntil), watch);
  }

  #lose(lease: Lease, loss: Loss): void {
    this.#forget(lease);
    lease.lose(loss);
  }

  #forget(lease: Lease): void {
    this.#due.remove(lease.watch);
    this.#watched.remove(lease.watch);
    const { subject, watch } = lease;
    if ('claim' in subject && this.#byOwner.get(subject.claim.owner) === watch)
      this.#byOwner.delete(subject.claim.owner);
  }
}

/** A twelfth of the lease. A lease from another owner may have less left than that, and then it is a twelfth of the rest. */
const retryAfter = ({ renewTo, remainingMs }: Lease): number =>
  Math.min(renewTo / 12, Math.max(remainingMs / 12, SOONEST_RETRY_MS));

const isWatched = (watch: Watch): boolean => watch.place !== NOWHERE;
