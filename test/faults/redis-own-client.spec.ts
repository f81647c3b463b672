import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';

const versions = { 'ioredis 6': Redis, 'ioredis 5': Redis5 as unknown as typeof Redis };
const settings = {
  'default options': {},
  'a key prefix': { keyPrefix: 'shop:' },
  'automatic pipelining': { enableAutoPipelining: true },
};
const cases = Object.entries(versions).flatMap(([version, Client]) =>
  Object.entries(settings).map(([setting, options]) => ({ version, setting, Client, options })),
);

describe.each(cases)("A user's own client, $version with $setting,", ({ Client, options }) => {
  let server: RedisServer;
  let admin: Redis;
  let client: Redis;
  let engine: LockEngine;
  /** Another process as far as Redis can tell: a client and an inbox of its own. */
  let otherClient: Redis;
  let other: LockEngine;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    admin = new Redis(server.url).on('error', () => undefined);
  });
  afterAll(async () => {
    admin?.disconnect();
    await server?.stop();
  });
  beforeEach(async () => {
    await admin.flushall();
    client = new Client(server.port, server.host, options).on('error', () => undefined);
    otherClient = new Redis(server.port, server.host, options).on('error', () => undefined);
    await Promise.all([client.ping(), otherClient.ping()]);
    engine = new LockEngine(redis({ client, counterTtl: 0 }));
    other = new LockEngine(redis({ client: otherClient, counterTtl: 0 }));
  });
  afterEach(async () => {
    await Promise.all([engine.close(0), other.close(0)]);
    client.disconnect();
    otherClient.disconnect();
  });

  const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);
  const connections = async () =>
    String(await admin.client('LIST'))
      .trim()
      .split('\n').length;

  it('carries locks that are waited for, pushed and renewed', async () => {
    const lock = await engine.acquire('k', { ttl: 900 });
    expect(await admin.keys('*')).toEqual([`${client.options.keyPrefix ?? ''}{lock:k}`]);
    const turn = other.acquire('k', { ttl: 900 });
    await inLine(engine, 'k', 1);
    // Longer than the lease, so the watch-dog's renewals arrive.
    await sleep(1_200);
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe(true);
    const releasedAt = performance.now();
    const next = await turn;
    // By push: the next look would be a second away.
    expect(performance.now() - releasedAt).toBeLessThan(500);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);

    const back = engine.acquire('k');
    await inLine(engine, 'k', 1);
    await next.release();
    await (await back).release();
    expect(await admin.keys('*')).toEqual([]);
  });

  it('is neither closed nor left with listeners of ours; the connection that we made goes', async () => {
    const before = { listeners: listeners(), connections: await connections() };
    const lock = await engine.acquire('k');
    const turn = engine.acquire('k');
    await inLine(engine, 'k', 1);
    await lock.release();
    await (await turn).release();
    await eventually('our subscription stands', async () => (await connections()) === before.connections + 1);
    expect(listeners()).toEqual(before.listeners);

    await engine.close();
    await eventually('our subscription is gone', async () => (await connections()) === before.connections);
    expect(client.status).toBe('ready');
    expect(await client.ping()).toBe('PONG');
    expect(listeners()).toEqual(before.listeners);
  });
});

describe.each(Object.entries(versions))("A user's own client, %s, that retries for ever", (_, Client) => {
  it('does not keep the lock from saying in time that there is no server, nor leaves a late lock behind', async () => {
    await using server = await startRedis({ own: true });
    const client = new Client(server.port, server.host).on('error', () => undefined);
    const callTimeout = 500;
    const engine = new LockEngine(redis({ client, counterTtl: 0 }), { callTimeout });
    await engine.ping();

    await server.kill();
    const startedAt = performance.now();
    await expect(engine.acquire('k', { wait: 300, ttl: '1m' })).rejects.toMatchObject({
      code: 'LOCK_BACKEND',
      message: expect.stringMatching(/Check that the server runs/),
    });
    expect(performance.now() - startedAt).toBeLessThan(300 + callTimeout + 250);

    await server.restart();
    if (client.status !== 'ready') await once(client, 'ready');
    // What the client had queued is sent now, and taken back.
    const other = new LockEngine(redis({ url: server.url, counterTtl: 0 }));
    const lock = await other.acquire('k', { wait: '5s' });
    await lock.release();
    await eventually('nothing is left', async () => (await client.dbsize()) === 0);
    await Promise.all([engine.close(0), other.close(0)]);
    client.disconnect();
  });
});
