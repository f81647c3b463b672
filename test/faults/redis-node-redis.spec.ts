import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from '@redis/client';
import { Redis } from 'ioredis';
import { createClient as createClient5 } from 'node-redis5';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { redis, type RedisOptions } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';

const versions = { 'node-redis 6': createClient, 'node-redis 5': createClient5 as unknown as typeof createClient };
const settings = {
  'default options': {},
  'RESP 2': { RESP: 2 },
  'answers of other types': {
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String } },
  },
  'a short socket timeout, and pings against it': { socket: { socketTimeout: 300 }, pingInterval: 100 },
  'no offline queue': { disableOfflineQueue: true },
  'a key prefix': { keyPrefix: 'shop:' },
};
const cases = [
  ...Object.entries(settings).map(([setting, options]) => ({
    version: 'node-redis 6',
    setting,
    create: createClient,
    options,
    prefix: 'keyPrefix' in options ? options.keyPrefix : '',
  })),
  ...Object.entries({ 'default options': {}, 'RESP 3': { RESP: 3 } }).map(([setting, options]) => ({
    version: 'node-redis 5',
    setting,
    create: versions['node-redis 5'],
    options,
    prefix: '',
  })),
];

async function connected(create: typeof createClient, url: string, options: object) {
  const client = create({ url, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

type Client = Awaited<ReturnType<typeof connected>>;

/** The connections that the server has now, but for the one that asks. */
const connections = async (admin: Redis) =>
  String(await admin.client('LIST'))
    .trim()
    .split('\n').length - 1;

/** The number of each connection that subscribes. */
const subscriptions = async (admin: Redis) =>
  String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).match(/^id=\d+/gm) ?? [];

describe.each(cases)("A user's own client, $version with $setting,", ({ create, options, prefix }) => {
  let server: RedisServer;
  let admin: Redis;
  let client: Client;
  let engine: LockEngine;
  /** Another process as far as Redis can tell: a client and an inbox of its own. */
  let otherClient: Client;
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
    [client, otherClient] = await Promise.all([
      connected(create, server.url, options),
      connected(create, server.url, options),
    ]);
    engine = new LockEngine(redis({ client, counterTtl: 0 }));
    other = new LockEngine(redis({ client: otherClient, counterTtl: 0 }));
  });
  afterEach(async () => {
    await Promise.all([engine.close(0), other.close(0)]);
    client.destroy();
    otherClient.destroy();
  });

  const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);

  it('carries locks that are waited for, pushed, renewed and looked at', async () => {
    const lock = await engine.acquire('k', { ttl: 600 });
    expect(await admin.keys('*')).toEqual([`${prefix}{lock:k}`]);
    const turn = other.acquire('k', { ttl: 600 });
    await inLine(engine, 'k', 1);
    const subscribed = await subscriptions(admin);
    expect(subscribed).toHaveLength(1);
    // Longer than the lease, so the watch-dog's renewals arrive; and longer than the user's idle socket may be silent.
    await sleep(1_000);
    expect(lock.held).toBe(true);
    expect(await subscriptions(admin)).toEqual(subscribed);
    expect(await engine.inspect('k')).toMatchObject({
      holders: [{ owner: lock.owner, fencingToken: lock.fencingToken }],
    });
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
    const before = { listeners: listeners(), connections: await connections(admin) };
    const lock = await engine.acquire('k');
    const turn = engine.acquire('k');
    await inLine(engine, 'k', 1);
    await lock.release();
    await (await turn).release();
    expect(await connections(admin)).toBe(before.connections + 1);
    expect(listeners()).toEqual(before.listeners);

    await engine.close();
    await eventually('our subscription is gone', async () => (await connections(admin)) === before.connections);
    expect(client.isReady).toBe(true);
    expect(await client.ping()).toBe('PONG');
    expect(listeners()).toEqual(before.listeners);
    expect(client.isPubSubActive).toBe(false);
  });
});

describe.each(Object.entries(versions))("A user's own client, %s,", (_, create) => {
  let server: RedisServer;
  let admin: Redis;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    server = await startRedis({ own: true });
    admin = new Redis(server.url).on('error', () => undefined);
  });
  afterAll(async () => {
    admin?.disconnect();
    await server?.stop();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function opened(options: object = {}) {
    const client = await connected(create, server.url, options);
    closing.push(() => client.isOpen && client.destroy());
    return client;
  }

  function engineOver(client: Client, options = {}): LockEngine {
    const engine = new LockEngine(redis({ client }), options);
    closing.push(() => engine.close(0));
    return engine;
  }

  it('that nobody has connected, or that was closed, is named in the error; connected, it works', async () => {
    const client = create({ url: server.url });
    const engine = engineOver(client);
    const told = {
      code: 'LOCK_BACKEND',
      message: expect.stringMatching(/`redis\(\{ client \}\)`.* is not connected.*`await client\.connect\(\)`/),
    };
    await expect(engine.ping()).rejects.toMatchObject(told);
    await expect(engine.tryAcquire('k')).rejects.toMatchObject(told);
    await client.connect();
    await engine.ping();
    await (await engine.acquire('k')).release();
    client.destroy();
    await expect(engine.tryAcquire('k')).rejects.toMatchObject(told);
  });

  it('leaves no connection behind when the backend is closed while its subscription is being opened', async () => {
    const client = await opened();
    const before = await connections(admin);
    for (const delay of [0, 1, 3]) {
      const backend = redis({ client });
      const engine = new LockEngine(backend);
      await using held = await engine.acquire('k');
      const cancel = new AbortController();
      const turn = engine.acquire('k', { signal: cancel.signal }).catch(() => undefined);
      await sleep(delay);
      await engine.backend.close();
      cancel.abort();
      await turn;
      expect(held.key).toBe('k');
    }
    await sleep(100);
    await eventually('all are gone', async () => (await connections(admin)) === before);
  });

  it('of a user who may not subscribe: who waits is told why, and waits in line once it is allowed', async () => {
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const engine = engineOver(await opened({ username: 'app', password: 'secret' }));
    const lock = await engine.acquire('k');
    await expect(engine.acquire('k', { wait: 300 })).rejects.toThrow(/NOPERM/);

    await admin.call('ACL', 'SETUSER', 'app', 'allchannels');
    const turn = engine.acquire('k', { wait: '10s' });
    await inLine(engine, 'k', 1);
    await lock.release();
    await (await turn).release();
  });

  it('of a user who loses the right to subscribe while a subscription stands: the same', async () => {
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels', 'allchannels');
    const engine = engineOver(await opened({ username: 'app', password: 'secret' }));
    const lock = await engine.acquire('k');
    const first = engine.acquire('k', { wait: '10s' });
    await inLine(engine, 'k', 1);
    await lock.release();
    const second = await first;

    // Redis itself cuts the subscriptions that are no longer allowed.
    await admin.call('ACL', 'SETUSER', 'app', 'resetchannels');
    await eventually('the subscription is gone', async () => (await subscriptions(admin)).length === 0);
    await expect(engine.acquire('k', { wait: 1_000 })).rejects.toThrow(/NOPERM/);
    await admin.call('ACL', 'SETUSER', 'app', 'allchannels');
    const third = engine.acquire('k', { wait: '10s' });
    await inLine(engine, 'k', 1);
    await second.release();
    await (await third).release();
  });

  it('does not keep the lock from saying in time that there is no server, nor leaves a late lock behind', async () => {
    const client = await opened();
    const callTimeout = 500;
    const engine = engineOver(client, { callTimeout });
    await engine.ping();

    await server.kill();
    const startedAt = performance.now();
    await expect(engine.acquire('k', { wait: 300, ttl: '1m' })).rejects.toMatchObject({
      code: 'LOCK_BACKEND',
      message: expect.stringMatching(/Check that the server runs/),
    });
    expect(performance.now() - startedAt).toBeLessThan(300 + callTimeout + 250);

    await server.restart();
    await eventually('the client is back', () => client.isReady);
    // What the client had queued is sent now, and taken back.
    const other = engineOver(await opened());
    const lock = await other.acquire('k', { wait: '5s' });
    await lock.release();
    await eventually('nobody has it', async () => {
      const { held, waiting } = await other.inspect('k');
      return !held && waiting === 0;
    });
  });
});

describe('`redis({ client })` with something else', () => {
  const node = { rootNodes: [{ url: 'redis://localhost' }] };
  const others: Record<string, () => unknown> = {
    'a cluster of node-redis': () => createCluster(node),
    'a pool of node-redis': () => createClientPool(),
    'a Sentinel client of node-redis': () =>
      createSentinel({ name: 'main', sentinelRootNodes: [{ host: 'localhost', port: 1 }] }),
    'a function': () => createClient,
    'an address': () => 'redis://localhost',
    'an object': () => ({}),
    nothing: () => null,
  };
  it.each(Object.entries(others))('refuses %s, and says what it takes', (_, make) => {
    const client = make() as Extract<RedisOptions, { client: unknown }>['client'];
    expect(() => redis({ client })).toThrow(LockConfigurationError);
    expect(() => redis({ client })).toThrow(/an ioredis client \(`new Redis\(…\)`\) or .*`createClient\(…\)`/);
  });
});
