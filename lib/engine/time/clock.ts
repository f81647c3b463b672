import { performance } from 'node:perf_hooks';
import { type Listed, NOWHERE, UnorderedList } from './unordered-list.js';

/** Where the engine's time comes from. Handed in, so that the whole engine also runs under a virtual clock. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. */
  now(): number;
  /**
   * Calls `run` once after `ms`; returns how to cancel it. A `background` timer does not keep the process alive.
   */
  after(ms: number, run: () => void, background?: boolean): () => void;
  /** As `after`, for the time limits of calls: nearly all of them are cancelled a moment later, so this has to be cheap. */
  limit(ms: number, run: () => void): () => void;
}

/** Node truncates longer timers to 1 ms, so they are cut to this and set again. */
const LONGEST_TIMER = 2 ** 31 - 1;

interface Limit extends Listed {
  readonly at: number;
  readonly run: () => void;
}

/** The clock of this machine. */
export class SystemClock implements Clock {
  readonly #limits = new UnorderedList<Limit>();
  /** One timer for all limits, set for the earliest. It stays when that is cancelled: it fires for nothing, and that seldom. */
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Infinity;

  now(): number {
    return performance.now();
  }

  after(ms: number, run: () => void, background = false): () => void {
    if (ms > LONGEST_TIMER) {
      let cancel = this.after(
        LONGEST_TIMER,
        () => (cancel = this.after(ms - LONGEST_TIMER, run, background)),
        background,
      );
      return () => cancel();
    }
    const timer = setTimeout(run, Math.max(0, Math.ceil(ms)));
    if (background) timer.unref();
    return () => clearTimeout(timer);
  }

  limit(ms: number, run: () => void): () => void {
    const now = this.now();
    const limit = { at: now + ms, run, place: NOWHERE };
    this.#limits.add(limit);
    // One that should have fired before may never do: a test may have put timers of its own in the place of Node's, and back.
    const overdue = this.#firesAt < now;
    if (overdue || limit.at < this.#firesAt) this.#arm(overdue ? now : limit.at, now);
    else if (this.#limits.size === 1) this.#timer?.ref();
    return () => this.#end(limit);
  }

  /** With nothing left to limit the timer must not keep the process alive. */
  #end(limit: Limit): void {
    if (this.#limits.remove(limit) && this.#limits.size === 0) this.#timer?.unref();
  }

  #arm(at: number, now: number): void {
    clearTimeout(this.#timer);
    this.#firesAt = at;
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.ceil(at - now), LONGEST_TIMER));
  }

  #fire(): void {
    this.#timer = undefined;
    this.#firesAt = Infinity;
    const now = this.now();
    let next = Infinity;
    // In the order of their times, as timers of their own would have come.
    for (const limit of [...this.#limits].sort((a, b) => a.at - b.at)) {
      // One that is over may have ended another.
      if (limit.place === NOWHERE) continue;
      if (limit.at > now) {
        next = limit.at;
        break;
      } else {
        this.#end(limit);
        limit.run();
      }
    }
    if (next < this.#firesAt) this.#arm(next, now);
  }
}
