import { describe, expect, it } from 'vitest';
import type { Quality } from './scenario.js';
import { simulate } from './simulate.js';

/** How many seeds for each quality of network. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 100);
/** One seed only, with all that happened in it. */
const SEED = process.env['SIM_SEED'];
const QUALITY = process.env['SIM_QUALITY'];
const CHUNK = 100;

/** Runs the engine through so many schedules; each failure names its seed and how to see it again. */
export function describeSimulation(quality: Quality): void {
  const seeds = SEED === undefined ? SEEDS : QUALITY === undefined || QUALITY === quality ? 1 : 0;
  const first = SEED === undefined ? 1 : Number(SEED);
  describe.runIf(seeds > 0)(`the engine on a ${quality} network`, () => {
    for (let from = first; from < first + seeds; from += CHUNK) {
      const to = Math.min(from + CHUNK, first + seeds) - 1;
      it(`keeps its promises with the seeds ${from} to ${to}`, { timeout: 600_000 }, async () => {
        for (let seed = from; seed <= to; seed++) await assertKept(seed, quality);
      });
    }
  });
}

async function assertKept(seed: number, quality: Quality): Promise<void> {
  const { violations } = await simulate(seed, quality);
  if (violations.length === 0) return;
  const { scenario, trace } = await simulate(seed, quality, true);
  const replay = `SIM_SEED=${seed} SIM_QUALITY=${quality} npx vitest run test/simulation/${quality}.spec.ts`;
  const events = SEED === undefined ? trace.slice(-40) : trace;
  expect.fail(
    [
      `Seed ${seed} on a ${quality} network:`,
      ...violations,
      '',
      JSON.stringify(scenario),
      ...events,
      '',
      `Again: ${replay}`,
    ].join('\n'),
  );
}
