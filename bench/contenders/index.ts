import type { Contender } from './contender.js';
import { floors } from './floors.js';
import { murlock } from './murlock.js';
import { nodeRedisson } from './node-redisson.js';
import { ours } from './ours.js';
import { redisSemaphore } from './redis-semaphore.js';
import { redlockUniversal } from './redlock-universal.js';
import { redlocks } from './redlock.js';
import { verrou } from './verrou.js';

export const contenders: readonly Contender[] = [
  ...ours,
  ...floors,
  ...redisSemaphore,
  ...verrou,
  ...redlocks,
  ...redlockUniversal,
  ...murlock,
  ...nodeRedisson,
];

export function contender(name: string): Contender {
  const found = contenders.find((each) => each.name === name);
  if (!found)
    throw new Error(`There is no contender "${name}". Known: ${contenders.map((each) => each.name).join(', ')}.`);
  return found;
}
