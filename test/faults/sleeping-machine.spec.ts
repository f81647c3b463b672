import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lock } from '../../lib/lock/lock.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { WallClock } from '../servers/wall-clock.js';
import { acquireIn } from './support/in-pod.js';
import { type Pod, startPods } from './support/pod.js';

/** In seconds. */
const TTL = 60;

describe('A process on a machine whose wall clock is set, while the monotonic one stands or goes on', () => {
  let server: RedisServer;

  beforeAll(async () => (server = await startRedis()));
  afterAll(() => server?.stop());

  /** A lock in a process of its own; `left`: what it believes at this moment, in seconds. */
  async function holderUnder(wall: WallClock, key: string) {
    const pods = await startPods(1, { url: server.url, env: wall.env });
    const [pod] = pods as unknown as [Pod];
    await acquireIn(pod, key, { ttl: TTL * 1_000 });
    return {
      pod,
      left: () => pod.run(({ kept }, key) => (kept[key] as Lock).remainingMs / 1_000, key),
      [Symbol.asyncDispose]: () => pods[Symbol.asyncDispose](),
    };
  }

  it.concurrent('tells of the loss by itself when the machine slept for longer than the lease', async () => {
    using wall = new WallClock();
    await using holder = await holderUnder(wall, 'asleep');
    await holder.pod.run(({ kept, say }) => {
      const { signal } = kept['asleep'] as Lock;
      signal.addEventListener('abort', () => say('told', (signal.reason as Error & { code: string }).code));
    });
    wall.set(`+${2 * TTL}`);
    expect((await holder.pod.hears('told')).value).toBe('LOCK_LOST');
    expect(await holder.left()).toBe(0);
  });

  it.concurrent('believes in its lease for so much less as the machine slept', async () => {
    using wall = new WallClock();
    await using holder = await holderUnder(wall, 'a nap');
    const before = await holder.left();
    wall.set('+20');
    expect(await holder.left()).toBeLessThan(before - 19);
    expect(await holder.left()).toBeGreaterThan(0);
  });

  it.concurrent('loses nothing by what time synchronisation does: small steps, steps back, a clock that is slewed', async () => {
    using wall = new WallClock();
    await using holder = await holderUnder(wall, 'synchronised');
    const believed: number[] = [];
    for (const ahead of ['+0.9', '+1.8', '+2.7', '-3600', '-7200', '-7200 x1.0005', '-7200 x0.9995']) {
      wall.set(ahead);
      believed.push(await holder.left());
    }
    expect(Math.min(...believed)).toBeGreaterThan(TTL * 0.8);
  });
});
