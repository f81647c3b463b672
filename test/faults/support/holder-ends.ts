import { expect } from 'vitest';
import type { LockEngine } from '../../../lib/engine/engine.js';
import type { AcquireOptions } from '../../../lib/lock/lock.js';
import { acquireIn, inLine } from './in-pod.js';
import { now } from './machine-clock.js';
import { type Pod, startPods } from './pod.js';

/** What a process that stood still says of a lock that it kept, when it goes on and lets it go. */
function awoken(frozen: Pod, key: string) {
  frozen.thaw();
  return frozen.run(async ({ kept }, key) => {
    const lock = kept[key];
    return { held: lock.held, aborted: lock.signal.aborted, released: (await lock.release()) as boolean };
  }, key);
}

export interface HolderEnds {
  /** The process that is going to hold the lock. */
  readonly pod: Parameters<typeof startPods>[1];
  /** Those who stand in line for it, in that order. */
  readonly line: readonly [LockEngine, LockEngine];
  /** The lease of the holder, in milliseconds. */
  readonly ttl: number;
  /** How those in line ask for it. */
  readonly patient: AcquireOptions;
  /** How long the next one may wait, in milliseconds. */
  readonly within: number;
}

/** A holder is killed or freezes: the next one enters in time, and the line goes on. Resolves to how long that took, in milliseconds. */
export async function holderEnds(
  how: 'killed' | 'frozen',
  { pod, line: [first, second], ttl, patient, within }: HolderEnds,
): Promise<number> {
  const key = `holder ${how}`;
  await using pods = await startPods(1, pod);
  const [holder] = pods as unknown as [Pod];
  const held = await acquireIn(holder, key, { ttl });
  const turn = first.acquire(key, patient);
  await inLine(first, key, 1);
  const lastTurn = second.acquire(key, patient);
  await inLine(first, key, 2);
  const stoppedAt = now();
  if (how === 'killed') await holder.kill();
  else holder.freeze();
  const next = await turn;
  const after = now() - stoppedAt;
  expect(after).toBeLessThan(within);
  expect(next.fencingToken).toBeGreaterThan(held.token);
  // One that wakes knows of its loss, and takes nothing from its successor.
  const lost = { held: false, aborted: true, released: false };
  expect(how === 'killed' ? lost : await awoken(holder, key)).toEqual(lost);
  expect(next.held).toBe(true);
  expect(await next.release()).toBe(true);
  const last = await lastTurn;
  expect(last.fencingToken).toBeGreaterThan(next.fencingToken ?? 0n);
  await last.release();
  return after;
}
