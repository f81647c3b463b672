import { performance } from 'node:perf_hooks';

/** The clock of a test runner's fake timers, which it leaves at each timer function. Vitest and Jest build on the same library. */
interface FakeClock {
  readonly now: number;
  /** Seconds and nanoseconds. Unlike `now` it does not move when a test sets the date. */
  hrtime?(): readonly [number, number];
}

/**
 * Monotonic milliseconds of this process. While a test runner fakes the timers it is their time, so that a lease ends when the test
 * says so. It goes on from where it stood when the timers are faked, and when they are real again.
 */
export function processTime(): () => number {
  let source: FakeClock | undefined;
  let last = performance.now();
  let time = last;
  return () => {
    const clock = (globalThis.setTimeout as { clock?: FakeClock }).clock;
    const reading = clock ? readingOf(clock) : performance.now();
    if (clock === source) time += Math.max(0, reading - last);
    source = clock;
    last = reading;
    return time;
  };
}

function readingOf(clock: FakeClock): number {
  const precise = clock.hrtime?.();
  return precise ? precise[0] * 1_000 + precise[1] / 1_000_000 : clock.now;
}
