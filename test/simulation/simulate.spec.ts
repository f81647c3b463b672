import { describe, expect, it } from 'vitest';
import { qualities } from './scenario.js';
import { simulate } from './simulate.js';

describe('the simulation', () => {
  it.each(qualities)(
    'takes the same course with the same seed, and another with another, on a %s network',
    async (quality) => {
      const course = async (seed: number): Promise<string> =>
        (await simulate(seed, quality, true)).trace.map(nameless).join('\n');
      expect(await course(7)).toBe(await course(7));
      expect(await course(7)).not.toBe(await course(8));
    },
  );

  it('is about something: locks are held, waited for and lost, on every sort of server', async () => {
    const seen = new Set<string>();
    const shapes = new Set<string>();
    let acquired = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const outcome = await simulate(seed, 'poor', true);
      acquired += outcome.acquired;
      shapes.add(outcome.scenario.shape);
      for (const line of outcome.trace) seen.add(/(?:[A-C] )?(?:server: )?([a-z-]+(?: all)?)/.exec(line)?.[1] ?? '');
    }
    expect(acquired).toBeGreaterThan(600);
    expect([...shapes].sort()).toEqual(['key', 'polled', 'session', 'watched']);
    const events = [
      'waiting',
      'acquired',
      'timeout',
      'failed',
      'lost',
      'released',
      'renewal-failed',
      'release-unknown',
    ];
    const troubles = ['stands', 'dies', 'closes', 'forces', 'downgrade', 'push', 'attempt', 'the'];
    const worlds = ['sleeps', 'wakes', 'has', 'restart', 'nests'];
    for (const word of [...events, ...troubles, ...worlds]) expect(seen).toContain(word);
    // Sixty worlds take a while where other work runs beside.
  }, 120_000);
});

/** Without what names this process on the server. */
const nameless = (line: string): string => line.replace(/[\w-]{4}:(\d+)/g, ':$1').replace(/by \S+-\d+-[\w-]+:/g, 'by ');
