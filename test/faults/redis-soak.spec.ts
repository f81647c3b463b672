import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { startPods } from './support/pod.js';
import { rounds, withinRounds } from './support/rounds.js';

const megabyte = 1024 * 1024;

describe('Over very many locks on Redis', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    // Sweeps up often and thoroughly, so that what it counts is what lives: as it comes, a tenth of the keys may have expired.
    const prompt = ['--active-expire-effort', '10', '--hz', '100'];
    server = await startRedis({ own: true, args: ['--appendonly', 'no', ...prompt] });
    client = new Redis(server.url);
  });
  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  it(
    'a process needs no more memory at the end than at the start, and the server keeps a bounded number of keys',
    async () => {
      const pairs = 80_000 * rounds;
      await using pods = await startPods(1, { url: server.url, counterTtl: '1s', node: ['--expose-gc'] });
      const { heap, seconds, keys } = await pods[0]!.run(async ({ engine, redis, now }, pairs) => {
        const { signal } = new AbortController();
        const keys = { most: 0, allowed: 0 };
        let usedOnce: number[] = [];
        // A fifth of the keys are never used again, the others return; eight at a time, none waits for another.
        const some = async (from: number, to: number) => {
          let next = from;
          const worker = async (name: number) => {
            for (let i = next++; i < to; i = next++) {
              const key = i % 5 === 0 ? `once:${i}` : `often:${name}:${i % 100}`;
              if (i % 5 === 0) usedOnce.push(now());
              const lock = await engine.acquire(key, i % 2 === 0 ? { ttl: '1s', signal } : { ttl: '1s', wait: 0 });
              if (i % 3 === 0) void lock.signal;
              await lock.release();
              if (i % 10_000 !== 0) continue;
              const count = await redis.dbsize();
              // A lease of a second, a counter of one and a quarter, and as much for a server that got no turn to sweep.
              usedOnce = usedOnce.filter((at) => at > now() - 4_000);
              if (count > keys.most) Object.assign(keys, { most: count, allowed: 800 + usedOnce.length });
            }
          };
          await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(worker));
        };
        const used = async () => {
          // Twice, with a breath in between for what finalizers let go.
          global.gc?.();
          await new Promise(setImmediate);
          global.gc?.();
          return process.memoryUsage().heapUsed;
        };
        await some(-5_000, 0);
        const before = await used();
        const startedAt = now();
        await some(0, pairs);
        const seconds = (now() - startedAt) / 1_000;
        return { heap: (await used()) - before, seconds, keys };
      }, pairs);
      console.log(
        `${pairs} pairs in ${seconds.toFixed(1)} s: heap ${(heap / megabyte).toFixed(2)} MB more, at most ${keys.most} keys on the server`,
      );
      expect(heap).toBeLessThan(5 * megabyte);
      // 800 that return, and those used once a moment ago.
      expect(keys.most).toBeLessThanOrEqual(keys.allowed);
      await eventually('every key has expired', async () => (await client.dbsize()) === 0, { within: 5_000 });
    },
    withinRounds(20),
  );
});
