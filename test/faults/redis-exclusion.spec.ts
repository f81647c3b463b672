import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { type Pods, startPods } from './support/pod.js';
import { rounds, withinRounds } from './support/rounds.js';

interface Section {
  /** What the section wrote: its place in the order of all sections. */
  readonly value: number;
  readonly token: bigint;
}

describe('Four processes with 50 workers each, on one key of one Redis', () => {
  let server: RedisServer;
  let client: Redis;
  let pods: Pods;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    client = new Redis(server.url);
    pods = await startPods(4, { url: server.url });
    // All are there before the first begins, so that none has a start.
    await Promise.all(pods.map((pod) => pod.run(({ engine, redis }) => Promise.all([engine.ping(), redis.ping()]))));
  });
  afterAll(async () => {
    await pods?.[Symbol.asyncDispose]();
    client?.disconnect();
    await server?.stop();
  });

  const workers = 50;

  async function increment(
    lock: { readonly fair: boolean } | undefined,
    name: string,
    total: number,
  ): Promise<Section[][]> {
    const perPod = await Promise.all(
      pods.map((pod) =>
        pod.run(
          ({ engine, redis }, { lock, name, total, workers }) => {
            // Read, modify, write: right only if nobody else is between the two.
            const section = async (sections: { value: number; token: bigint }[], token: bigint): Promise<boolean> => {
              const value = Number(await redis.get(name)) + 1;
              if (value > total) return false;
              await redis.set(name, value);
              sections.push({ value, token });
              return true;
            };
            const worker = async () => {
              const sections: { value: number; token: bigint }[] = [];
              const once = (token = 0n) => section(sections, token);
              const options = { wait: '60s', ...lock } as const;
              while (await (lock ? engine.withLock(name, (lock) => once(lock.fencingToken), options) : once()));
              return sections;
            };
            return Promise.all(Array.from({ length: workers }, worker));
          },
          { lock, name, total, workers },
        ),
      ),
    );
    return perPod.flat();
  }

  async function incrementInOrder(lock: { readonly fair: boolean }, name: string): Promise<number[]> {
    const total = 2_000 * rounds;
    const startedAt = performance.now();
    const byWorker = await increment(lock, name, total);
    const seconds = (performance.now() - startedAt) / 1_000;

    expect(Number(await client.get(name))).toBe(total);
    const inOrder = byWorker.flat().sort((a, b) => a.value - b.value);
    expect(inOrder.map(({ value }) => value)).toEqual(Array.from({ length: total }, (_, i) => i + 1));
    expect(inOrder.findIndex(({ token }, i) => i > 0 && token <= inOrder[i - 1]!.token)).toBe(-1);

    const counts = byWorker.map((sections) => sections.length);
    expect(counts).toHaveLength(4 * workers);
    console.log(
      `${total} sections in ${seconds.toFixed(1)} s, by each worker ${Math.min(...counts)} to ${Math.max(...counts)}`,
    );
    return counts;
  }

  it(
    'lose no increment, hand out growing tokens, and starve nobody',
    async () => {
      const counts = await incrementInOrder({ fair: true }, 'stock');
      expect(Math.max(...counts) / Math.min(...counts)).toBeLessThanOrEqual(1.5);
    },
    withinRounds(20),
  );

  it(
    'lose no increment, hand out growing tokens, and starve nobody, also where each may serve its own out of turn',
    async () => {
      const counts = await incrementInOrder({ fair: false }, 'out of turn');
      expect(Math.min(...counts)).toBeGreaterThan(0);
    },
    withinRounds(20),
  );

  it('would lose increments without the lock, so the test above can fail', async () => {
    const sections = (await increment(undefined, 'unlocked', 500)).flat();
    expect(sections.length).toBeGreaterThan(500);
  });
});
