import { performance } from 'node:perf_hooks';

/** Where the engine's time comes from. Handed in, so that the whole engine also runs under a virtual clock. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. */
  now(): number;
  /**
   * Calls `run` once after `ms`; returns how to cancel it. A `background` timer does not keep the process alive.
   */
  after(ms: number, run: () => void, background?: boolean): () => void;
}

/** Node truncates longer timers to 1 ms, so they are cut to this and whoever asked looks again. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run, background = false) {
    const timer = setTimeout(run, Math.min(Math.max(0, Math.ceil(ms)), LONGEST_TIMER));
    if (background) timer.unref();
    return () => clearTimeout(timer);
  },
};
