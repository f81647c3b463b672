import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds of the machine's monotonic clock: the same in every process. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

export async function until(time: number): Promise<void> {
  const left = time - now();
  if (left > 0) await sleep(left);
}

/** CPU milliseconds of this process, all threads, from here on. */
export function cpuMeter(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}

/** The longest time in milliseconds that the event loop stood still, from here on. */
export function stallMeter(): () => number {
  let last = performance.now();
  let longest = 0;
  const look = (): void => {
    const time = performance.now();
    longest = Math.max(longest, time - last - 5);
    last = time;
  };
  const timer = setInterval(look, 5);
  return () => {
    clearInterval(timer);
    look();
    return Math.max(0, longest);
  };
}
