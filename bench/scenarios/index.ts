import { contended, crowding } from './contention.js';
import { crowd } from './crowd.js';
import { handOver } from './hand-over.js';
import { held } from './held.js';
import type { Scenario } from './scenario.js';
import { uncontended } from './uncontended.js';

export const scenarios: readonly Scenario[] = [uncontended, handOver, contended, crowding, crowd, held];

export function scenario(name: string): Scenario {
  const found = scenarios.find((each) => each.name === name);
  if (!found)
    throw new Error(`There is no scenario "${name}". Known: ${scenarios.map((each) => each.name).join(', ')}.`);
  return found;
}
