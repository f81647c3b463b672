import { describe, expect, it } from 'vitest';
import type { KeyBackend, Waiter } from '../../lib/backends/backend.js';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { PACE, Pacer } from '../../lib/engine/time/pacer.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { Bench } from './support/bench.js';

const MANY = 20_000;

/** How many moments there were, and how many things happened in the fullest one. In virtual time a turn of the event loop is a moment. */
function spread(moments: readonly number[]): { readonly turns: number; readonly most: number } {
  const counts = new Map<number, number>();
  for (const moment of moments) counts.set(moment, (counts.get(moment) ?? 0) + 1);
  return { turns: counts.size, most: Math.max(...counts.values()) };
}

describe('the pacer', () => {
  it('runs one alone at once, and each in its order', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 2);
    const ran: string[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) pacer.run(() => void ran.push(`${name} at ${clock.now()}`));
    expect(ran).toEqual(['a at 0', 'b at 0']);
    await clock.advance(1);
    pacer.run(() => void ran.push('f'));
    await clock.advance(10);
    expect(ran).toEqual(['a at 0', 'b at 0', 'c at 1', 'd at 1', 'e at 2', 'f']);
    pacer.run(() => void ran.push('alone'));
    expect(ran.at(-1)).toBe('alone');
    await clock.advance(10);
    expect(clock.pending).toBe(0);
  });
});

describe('20,000 waiters of one process', () => {
  /** A server that answers "busy" at once, tells those who wait to look, or fails them, all together. */
  function crowd() {
    const bench = new Bench();
    const waiters = new Set<Waiter>();
    const asked: number[] = [];
    let down: Promise<never> | undefined;
    const server: KeyBackend = {
      ...memoryOn(bench.table),
      attempt: async (_, waiter) => {
        asked.push(bench.clock.now());
        if (waiter) waiters.add(waiter);
        return down ?? { granted: false, retryAfterMs: 60_000, at: bench.clock.now() };
      },
    };
    const { engine } = bench.process({ server });
    return {
      ...{ bench, engine, waiters },
      /** When they asked from now on. */
      countFromNow: (): number[] => {
        asked.length = 0;
        return asked;
      },
      fallsSilentFor: (ms: number): void => {
        down = new Promise((_, reject) => void bench.clock.after(ms, () => reject(new Error('connection lost'))));
        down.catch(() => undefined);
      },
    };
  }

  it('that are told to look again at once do so a few in each turn of the event loop', async () => {
    const { bench, engine, waiters, countFromNow } = crowd();
    for (let i = 0; i < MANY; i++) engine.acquire('key', { wait: '1h' }).catch(() => undefined);
    await bench.clock.advance(1_000);
    const asked = countFromNow();
    for (const waiter of waiters) waiter.look();
    await bench.clock.advance(1_000);
    expect(asked).toHaveLength(MANY);
    expect(spread(asked)).toEqual({ turns: MANY / PACE, most: PACE });
  });

  it('whose time to look comes together do so a few in each turn', async () => {
    const { bench, engine, countFromNow } = crowd();
    for (let i = 0; i < MANY; i++) engine.acquire('key', { wait: '1h' }).catch(() => undefined);
    const asked = countFromNow();
    await bench.clock.advance(61_000);
    expect(asked).toHaveLength(MANY);
    expect(spread(asked).most).toBeLessThanOrEqual(PACE);
  });

  it('are told that the server is gone a few in each turn', async () => {
    const { bench, engine, fallsSilentFor } = crowd();
    fallsSilentFor(1_500);
    const told: number[] = [];
    for (let i = 0; i < MANY; i++) engine.tryAcquire('key').catch(() => told.push(bench.clock.now()));
    await bench.clock.advance(5_000);
    expect(told).toHaveLength(MANY);
    expect(spread(told).most).toBeLessThanOrEqual(PACE);
  });
});
