import { describe, expect, it } from 'vitest';
import type { Claim, Waiter } from '../../lib/backends/backend.js';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { FaultyNetwork, networkQualities, type NetworkQuality } from '../../lib/testing/faulty-network.js';
import { VirtualClock } from './virtual-clock.js';
import { isSettled } from '../engine/support/bench.js';
import { Dice } from './dice.js';

const claim = (owner: string): Claim => ({
  key: 'key',
  owner,
  mode: 'exclusive',
  limit: 1,
  ttl: 60_000,
  claimTtl: 60_000,
});

function behind(
  quality: Partial<NetworkQuality>,
  options: { readonly ordered?: boolean; readonly seed?: number } = {},
) {
  const clock = new VirtualClock();
  const table = new LockTable(() => clock.now());
  const { random } = new Dice(options.seed ?? 1);
  const network = new FaultyNetwork({
    quality: { ...networkQualities.perfect, ...quality },
    clock,
    random,
    ...options,
  });
  return { clock, table, network, backend: network.to(memoryOn(table)) };
}

describe('the faulty network', () => {
  it('delays requests and answers', async () => {
    const { clock, table, backend } = behind({ delay: [20, 20] });
    const attempt = backend.attempt(claim('a'));
    await clock.advance(19);
    expect(table.size).toBe(0);
    await clock.advance(1);
    expect(table.size).toBe(1);
    expect(await clock.run(attempt)).toMatchObject({ granted: true });
    expect(clock.now()).toBe(40);
  });

  it('loses requests: the call fails or never ends, and nothing has happened', async () => {
    const failing = behind({ lostRequests: 1, failing: 1 });
    await expect(failing.clock.run(failing.backend.attempt(claim('a')))).rejects.toThrow(
      'connection lost during attempt',
    );
    const silent = behind({ lostRequests: 1, failing: 0 });
    const never = silent.backend.attempt(claim('a'));
    await silent.clock.advance(60_000);
    expect(await isSettled(never)).toBe(false);
    expect(failing.table.size + silent.table.size).toBe(0);
  });

  it('loses answers: the call fails or never ends, and it has happened', async () => {
    const failing = behind({ lostReplies: 1, failing: 1 });
    await expect(failing.clock.run(failing.backend.attempt(claim('a')))).rejects.toThrow(
      'connection lost during attempt',
    );
    await failing.clock.advance(10);
    const silent = behind({ lostReplies: 1, failing: 0 });
    const never = silent.backend.attempt(claim('a'));
    await silent.clock.advance(60_000);
    expect(await isSettled(never)).toBe(false);
    expect([failing.table.size, silent.table.size]).toEqual([1, 1]);
  });

  it('loses, delays and repeats pushes', async () => {
    async function pushes(quality: Partial<NetworkQuality>): Promise<number[]> {
      const { clock, backend } = behind(quality);
      const heard: number[] = [];
      const waiter: Waiter = { granted: () => void heard.push(clock.now()), look: () => undefined };
      await clock.run(backend.attempt(claim('a')));
      await clock.run(backend.attempt(claim('b'), waiter));
      const from = clock.now();
      void backend.release(claim('a'));
      await clock.advance(1_000);
      return heard.map((time) => time - from);
    }
    expect(await pushes({ lostPushes: 1 })).toEqual([]);
    expect(await pushes({ delay: [50, 50] })).toEqual([100]);
    expect(await pushes({ repeatedPushes: 1 })).toHaveLength(2);
  });

  it('reorders what is sent, unless it is told to keep the order', async () => {
    async function arrivals(ordered: boolean): Promise<string[]> {
      const { clock, table, backend } = behind({ delay: [1, 100] }, { ordered });
      const arrived: string[] = [];
      const attempt = table.attempt.bind(table);
      table.attempt = (asked, waiter) => {
        arrived.push(asked.owner);
        return attempt(asked, waiter);
      };
      for (let i = 0; i < 20; i++) void backend.attempt(claim(String(i)));
      await clock.advance(1_000);
      return arrived;
    }
    const sent = Array.from({ length: 20 }, (_, i) => String(i));
    expect(await arrivals(true)).toEqual(sent);
    expect(await arrivals(false)).not.toEqual(sent);
    expect((await arrivals(false)).sort()).toEqual(sent.sort());
  });

  it('cut, it holds everything back; mended, it lets it through', async () => {
    const { clock, table, network, backend } = behind({});
    network.cut();
    const attempt = backend.attempt(claim('a'));
    await clock.advance(10_000);
    expect(table.size).toBe(0);
    network.mend();
    expect(await clock.run(attempt)).toMatchObject({ granted: true });
  });

  it('takes the same course with the same seed', async () => {
    async function course(seed: number): Promise<string> {
      const { clock, backend } = behind(networkQualities.terrible, { seed });
      const log: string[] = [];
      for (let i = 0; i < 30; i++) {
        backend.attempt(claim(String(i))).then(
          (answer) => log.push(`${clock.now()} ${i} ${answer.granted}`),
          () => log.push(`${clock.now()} ${i} failed`),
        );
      }
      await clock.advance(10_000);
      return log.join('\n');
    }
    expect(await course(7)).toBe(await course(7));
    expect(await course(7)).not.toBe(await course(8));
  });
});
