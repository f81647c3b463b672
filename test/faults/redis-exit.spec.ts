import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { acquireIn, inLine } from './support/in-pod.js';
import { now } from './support/machine-clock.js';
import { type Pod, startPods } from './support/pod.js';

describe('A process that uses Redis locks', () => {
  let server: RedisServer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startRedis();
    engine = new LockEngine(redis({ url: server.url }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await server?.stop();
  });

  /** A lock that had to be waited for, so that the process has both of its connections. */
  async function contendedIn(pod: Pod, key: string): Promise<void> {
    const lock = await engine.acquire(key);
    const turn = acquireIn(pod, key);
    await inLine(engine, key, 1);
    await lock.release();
    await turn;
  }

  /** Milliseconds until it ends by itself, once nothing but the locks could keep it. */
  async function leftAlone(pod: Pod): Promise<number> {
    const startedAt = now();
    await pod.run(({ letGo }) => letGo());
    expect(await pod.exited).toBe(0);
    return now() - startedAt;
  }

  it.concurrent('ends by itself when it holds nothing, although its connections stand', async () => {
    await using pods = await startPods(1, { url: server.url });
    await contendedIn(pods[0]!, 'done');
    await pods[0]!.run(({ kept }) => kept['done'].release());
    expect(await leftAlone(pods[0]!)).toBeLessThan(2_000);
  });

  it.concurrent('is not kept alive by the renewals of a lock that it holds', async () => {
    await using pods = await startPods(1, { url: server.url });
    await contendedIn(pods[0]!, 'held on');
    expect(await leftAlone(pods[0]!)).toBeLessThan(2_000);
    expect((await engine.inspect('held on')).held).toBe(true);
  });

  it.concurrent('is kept alive by a lock that it waits for', async () => {
    await using pods = await startPods(1, { url: server.url });
    const [pod] = pods as unknown as [Pod];
    const lock = await engine.acquire('awaited');
    await pod.run(({ engine, say }) => {
      void engine.acquire('awaited').then((lock) => say('acquired', lock.fencingToken));
    });
    await inLine(engine, 'awaited', 1);
    await pod.run(({ letGo }) => letGo());
    // Three times as long as a process needs that has nothing to wait for.
    const ended = await Promise.race([pod.exited, new Promise((resolve) => setTimeout(resolve, 3_000, 'still there'))]);
    expect(ended).toBe('still there');
    await lock.release();
    expect((await pod.hears('acquired')).value).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(await pod.exited).toBe(0);
  });

  it.concurrent('leaves a `minHold` behind that the server keeps after it has ended', async () => {
    await using pods = await startPods(2, { url: server.url });
    const [early, next] = pods as unknown as [Pod, Pod];
    const minHold = 3_000;
    const acquiredAt = await early.run(async ({ engine, now }, minHold) => {
      const at = now();
      await engine.withLock('cron', () => undefined, { minHold });
      return at;
    }, minHold);
    expect(await leftAlone(early)).toBeLessThan(2_000);
    expect(await engine.tryAcquire('cron')).toBeNull();
    const { at } = await acquireIn(next, 'cron');
    expect(at - acquiredAt).toBeGreaterThanOrEqual(minHold);
    expect(at - acquiredAt).toBeLessThan(minHold + 1_500);
  });
});
