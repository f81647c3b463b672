import type { LockEngine } from '../lib/engine/engine.js';
import { time } from './paired.js';

/** Everybody stands where they wait by then, and nobody's caches are warmer than the other's. */
export const pause = (milliseconds = 4): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** From the release of one process to the lock of the other, which stands in line by then, in milliseconds. */
export async function handOver(from: LockEngine, to: LockEngine, key: string): Promise<number> {
  const lock = await from.acquire(key);
  const waiting = new Promise<void>((resolve) => {
    const stop = to.listen(({ type }) => {
      if (type === 'waiting') resolve(stop());
    });
  });
  const next = to.acquire(key);
  await waiting;
  await pause();
  let released: Promise<boolean> | undefined;
  const taken = await time(async () => {
    released = lock.release();
    await next;
  });
  await released;
  await (await next).release();
  return taken;
}
