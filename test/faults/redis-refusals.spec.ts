import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim, KeyBackend } from '../../lib/backends/backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { startSilentProxy } from '../servers/silent-proxy.js';
import { inLine } from './support/in-pod.js';

/** How a server comes to refuse writes, and how that ends. */
const refusals: Readonly<Record<string, readonly [begin: readonly string[], end: readonly string[]]>> = {
  NOREPLICAS: [
    ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
    ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
  ],
  READONLY: [
    ['REPLICAOF', '127.0.0.1', '1'],
    ['REPLICAOF', 'NO', 'ONE'],
  ],
};

/** How long the waiter waits for its turn once the lock is let go, in milliseconds. */
async function handOverBetween(holder: LockEngine, waiter: LockEngine): Promise<number> {
  const held = await holder.acquire('silent', { wait: '60s' });
  const turn = waiter.acquire('silent', { wait: '60s' });
  await inLine(holder, 'silent', 1);
  const before = performance.now();
  await held.release();
  const lock = await turn;
  const took = performance.now() - before;
  await lock.release();
  return took;
}

describe('A Redis that refuses writes', () => {
  let server: RedisServer;
  let admin: Redis;
  const engines: LockEngine[] = [];

  beforeAll(async () => {
    server = await startRedis({ own: true });
    admin = new Redis(server.url).on('error', () => undefined);
  });
  afterAll(async () => {
    for (const engine of engines) await engine.close(0);
    admin?.disconnect();
    await server?.stop();
  });
  const open = (options: Parameters<typeof redis>[0] = { url: server.url }): LockEngine => {
    const engine = new LockEngine(redis(options));
    engines.push(engine);
    return engine;
  };
  const tell = ([command = '', ...args]: readonly string[]) => admin.call(command, ...args);

  it.each(Object.entries(refusals))(
    'nobody is granted what is not written: %s',
    async (name, [begin, end]) => {
      const [holder, waiter] = [open(), open()];
      const held = await holder.acquire(name, { ttl: '60s' });
      let granted = false;
      const turn = waiter.acquire(name, { wait: '60s' }).then((lock) => {
        granted = true;
        return lock;
      });
      await inLine(holder, name, 1);
      await tell(begin);
      await expect(
        (holder.backend as KeyBackend).release({ key: `lock:${name}`, owner: held.owner } as Claim),
      ).rejects.toThrow(name);
      await sleep(300);
      expect(granted).toBe(false);
      await tell(end);
      await held.release();
      await (await turn).release();
    },
    60_000,
  );

  it('whose memory is full goes on renewing, handing over and letting go', async () => {
    const [holder, waiter] = [open(), open()];
    const held = await holder.acquire('full', { ttl: '1500ms' });
    const turn = waiter.acquire('full', { ttl: '1500ms', wait: '60s' });
    await inLine(holder, 'full', 1);
    await admin.config('SET', 'maxmemory', '1mb');
    try {
      await expect(admin.set('x', 'y')).rejects.toThrow('OOM');
      await expect(holder.tryAcquire('another')).rejects.toThrow('OOM');
      await sleep(3_000);
      expect(held.held).toBe(true);
      await held.release();
      await (await turn).release();
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
  }, 60_000);

  it.each(['subscribers', 'others'] as const)(
    'a connection that went silent is replaced, and held locks stay: %s',
    async (which) => {
      const proxy = await startSilentProxy(server.port);
      const [other, behind] = [open(), open({ host: '127.0.0.1', port: proxy.port })];
      const handOver = () => handOverBetween(other, behind);
      await handOver();
      const standing = await behind.acquire('standing');
      expect(proxy.silence(which)).toBe(1);
      await eventually('hand-overs are quick again', async () => (await handOver()) < 500, { within: 15_000 });
      expect(standing.held).toBe(true);
      await standing.release();
      await behind.close(0);
      await proxy.stop();
    },
    60_000,
  );

  it('a path on which no subscription ever works costs a waiter a second at most', async () => {
    const proxy = await startSilentProxy(server.port);
    const [other, behind] = [open(), open({ host: '127.0.0.1', port: proxy.port })];
    await handOverBetween(other, behind);
    proxy.silenceSubscribers();
    await eventually('the waiter looks for itself', async () => (await handOverBetween(other, behind)) < 1_500);
    expect(await handOverBetween(other, behind)).toBeLessThan(1_500);
    await behind.close(0);
    await proxy.stop();
  }, 60_000);
});
