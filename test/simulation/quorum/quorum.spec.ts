import { describe, expect, it } from 'vitest';
import { qualities, type Quality } from '../scenario.js';
import { simulateQuorum } from './simulate.js';

/** How many seeds for each quality of network. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 20);
/** One seed only, with all that happened in it. */
const SEED = process.env['SIM_SEED'];
const QUALITY = process.env['SIM_QUALITY'];
const CHUNK = 20;

describe.each(qualities)('a quorum on a %s network', (quality) => {
  const seeds = SEED === undefined ? SEEDS : QUALITY === undefined || QUALITY === quality ? 1 : 0;
  const first = SEED === undefined ? 1 : Number(SEED);
  for (let from = first; from < first + seeds; from += CHUNK) {
    const to = Math.min(from + CHUNK, first + seeds) - 1;
    it(`keeps its promises with the seeds ${from} to ${to}`, { timeout: 600_000 }, async () => {
      for (let seed = from; seed <= to; seed++) await assertKept(seed, quality);
    });
  }
});

describe.runIf(SEED === undefined)('the simulation of a quorum', () => {
  it('is about something: locks are held, waited for and lost, and servers are restarted empty', async () => {
    let [acquired, emptied] = [0, 0];
    const seen = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const outcome = await simulateQuorum(seed, 'poor', true);
      acquired += outcome.acquired;
      emptied += outcome.emptied;
      for (const line of outcome.trace) seen.add(/^ *[\d.]+ {2}[A-D] ([a-z-]+)/.exec(line)?.[1] ?? '');
    }
    expect(acquired).toBeGreaterThan(400);
    expect(emptied).toBeGreaterThan(20);
    for (const event of ['waiting', 'acquired', 'timeout', 'failed', 'lost', 'released']) expect(seen).toContain(event);
  }, 120_000);
});

async function assertKept(seed: number, quality: Quality): Promise<void> {
  const { violations } = await simulateQuorum(seed, quality);
  if (violations.length === 0) return;
  const { scenario, trace } = await simulateQuorum(seed, quality, true);
  const replay = `SIM_SEED=${seed} SIM_QUALITY=${quality} npx vitest run test/simulation/quorum/quorum.spec.ts`;
  expect.fail(
    [
      `Seed ${seed} on a ${quality} network:`,
      ...violations,
      '',
      JSON.stringify(scenario),
      ...(SEED === undefined ? trace.slice(-60) : trace),
      '',
      `Again: ${replay}`,
    ].join('\n'),
  );
}
