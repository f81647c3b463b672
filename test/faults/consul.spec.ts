import { getEventListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConsulClient } from '../../lib/backends/consul/client.js';
import { consul, type ConsulOptions } from '../../lib/backends/consul/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockConfigurationError } from '../../lib/lock/errors.js';
import {
  ask,
  type ConsulCluster,
  type ConsulServer,
  newCertificate,
  startConsul,
  startConsulCluster,
} from '../servers/consul.js';
import { eventually } from '../servers/eventually.js';
import { startSilentProxy } from '../servers/silent-proxy.js';

const ROOT = 'nestjs-distributed-lock';

function engineOn(options: ConsulOptions, callTimeout = 2_000): LockEngine & AsyncDisposable {
  const engine = new LockEngine(consul({ sessionTtlMin: '1s', ...options }), { callTimeout });
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close(0) });
}

/** All entries of locks on the server. */
async function entries({ url }: ConsulServer): Promise<string[]> {
  const found = await ask(url, 'GET', `/v1/kv/${ROOT}/?keys`).catch(() => []);
  return (found as string[]).filter((key) => !key.startsWith(`${ROOT}/.sessions/`));
}

/** Everything a lock does. */
async function exercise(engine: LockEngine, other: LockEngine): Promise<void> {
  await engine.ping();
  const lock = await engine.acquire('order', { ttl: '3s' });
  const waiting = other.acquire('order', { wait: '20s' });
  await eventually('it waits', async () => (await engine.inspect('order')).waiting === 1);
  expect(await lock.release()).toBe(true);
  const next = await waiting;
  expect(next.fencingToken).toBeGreaterThan(lock.fencingToken!);
  await next.release();
  const reader = await engine.acquire('file');
  await reader.downgrade();
  expect(await other.forceRelease('file')).toBe(true);
  await eventually('the reader is told', () => !reader.held, { within: 20_000 });
  await reader.release();
}

describe('Consul that asks for tokens, by TLS', () => {
  const master = 'master-token';
  let folder: string;
  let tls: ReturnType<typeof newCertificate>;
  let server: ConsulServer;
  const trust = (): ConsulOptions => ({ url: server.url, tls: { ca: readFileSync(tls.ca) } });

  async function newToken(rules: string): Promise<string> {
    const { Name } = (await ask(server.url, 'PUT', '/v1/acl/policy', {
      master,
      tls,
      body: { Name: `policy-${Math.random().toString(36).slice(2)}`, Rules: rules },
    })) as { Name: string };
    const token = { Policies: [{ Name }] };
    return ((await ask(server.url, 'PUT', '/v1/acl/token', { master, tls, body: token })) as { SecretID: string })
      .SecretID;
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'certificate-'));
    tls = newCertificate(folder);
    server = await startConsul({ own: true, master, tls });
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is used with the least rights that the page names', async () => {
    const page = readFileSync(new URL('../../lib/backends/consul/README.md', import.meta.url), 'utf8');
    const token = await newToken(/```hcl\n([^`]+)```/.exec(page)?.[1] ?? '');
    await using engine = engineOn({ ...trust(), token });
    await using other = engineOn({ ...trust(), token });
    await exercise(engine, other);
  });

  it('says at boot which token has no rights', async () => {
    const poor = await newToken(`key_prefix "${ROOT}/" { policy = "read" } session_prefix "" { policy = "write" }`);
    for (const token of [poor, 'unknown-token', '']) {
      await using engine = engineOn({ ...trust(), token });
      await expect(engine.ping()).rejects.toThrow(/refused the token/);
    }
  });

  it('is asked with the present token each time, so that tokens may rotate', async () => {
    const rules = `key_prefix "${ROOT}/" { policy = "write" } session_prefix "" { policy = "write" }`;
    let token = await newToken(rules);
    const first = token;
    await using engine = engineOn({ ...trust(), token: async () => token });
    const lock = await engine.acquire('rotated', { ttl: '1s' });
    token = await newToken(rules);
    const { AccessorID } = (await ask(server.url, 'GET', '/v1/acl/token/self', { master: first, tls })) as {
      AccessorID: string;
    };
    await ask(server.url, 'DELETE', `/v1/acl/token/${AccessorID}`, { master, tls });
    await lock.extend('1s');
    expect(await lock.release()).toBe(true);
  });

  it('is not trusted without its certificate', async () => {
    await using engine = engineOn({ url: server.url, token: master });
    await expect(engine.ping()).rejects.toThrow(/certificate/);
  });
});

describe('One Consul server', () => {
  let server: ConsulServer;
  beforeAll(async () => {
    server = await startConsul({ own: true });
  });
  afterAll(() => server?.stop());

  it('leaves no place of a join that was given up while the server was frozen', async () => {
    await using engine = engineOn({ url: server.url, agentTimeout: '300ms' }, 300);
    // The session lives on, so nothing else would clear the orphan away.
    const lives = await engine.acquire('lives', { ttl: '30s' });
    for (let round = 0; round < 5; round++) {
      server.pause();
      const given = Promise.allSettled(
        Array.from({ length: 5 }, (_, number) => engine.acquire(`late-${round}-${number}`, { wait: 0, ttl: '30s' })),
      );
      expect((await given).map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
      server.resume();
      await eventually('nothing of them is left', async () =>
        (await entries(server)).every((key) => key.startsWith(`${ROOT}/lock:lives/`)),
      );
    }
    // What came late came by now: a write that goes through the same log is done.
    await (await engine.acquire('after')).release();
    expect(await entries(server)).toHaveLength(1);
    expect(await lives.release()).toBe(true);
  });

  it('tells a holder whose session was destroyed by hand', async () => {
    await using engine = engineOn({ url: server.url });
    const lock = await engine.acquire('destroyed', { ttl: '1s' });
    const [place] = (await ask(server.url, 'GET', `/v1/kv/${ROOT}/lock:destroyed/?recurse`)) as { Session: string }[];
    await ask(server.url, 'PUT', `/v1/session/destroy/${place?.Session}`);
    await eventually('it is told', () => lock.signal.aborted);
    // The next one has a session of its own.
    await (await engine.acquire('destroyed')).release();
  });

  it('serves a waiter within a session although its one blocking query went silent, and its other connections did not', async () => {
    const proxy = await startSilentProxy(Number(server.host.split(':')[1]), /[?&]index=/);
    // Half of it is no whole number of milliseconds.
    const ttl = 2_001;
    await using other = engineOn({ url: server.url });
    {
      await using engine = engineOn({ url: `http://127.0.0.1:${proxy.port}` });
      const kept = await engine.acquire('kept', { ttl });
      const lock = await other.acquire('awaited', { ttl: '10s' });
      const waiting = engine.acquire('awaited', { wait: '30s', ttl });
      await eventually('its query is silenced', () => proxy.silence('subscribers') > 0);
      const silentAt = performance.now();
      await lock.release();
      const next = await waiting;
      expect(performance.now() - silentAt).toBeLessThan(ttl);
      expect([kept.held, await kept.release(), await next.release()]).toEqual([true, true, true]);
    }
    await proxy.stop();
  });

  it('says at boot how long a dead holder is in the way, and which `ttl` is the shortest', async () => {
    await using engine = engineOn({ url: server.url, sessionTtlMin: '2s' });
    expect(await engine.warnings()).toEqual([
      expect.stringMatching(
        /up to twice the `ttl` .*The shortest `ttl` is 2000 ms, which is what `sessionTtlMin` says/,
      ),
    ]);
    // These servers take no less than a second.
    await using wrong = engineOn({ url: server.url, sessionTtlMin: '500ms' });
    await expect(wrong.ping()).rejects.toThrow(
      /Invalid Session TTL.* Give `sessionTtlMin` what `session_ttl_min` says/,
    );
  });

  it('has sessions that no check of a node ends, without a delay that would be none', async () => {
    await using engine = engineOn({ url: server.url });
    const lock = await engine.acquire('session', { ttl: '5s' });
    const all = (await ask(server.url, 'GET', '/v1/session/list')) as Record<string, unknown>[];
    const ours = all.filter(({ Name }) => Name === ROOT);
    expect(ours.length).toBeGreaterThan(0);
    for (const { Behavior, LockDelay, NodeChecks, Checks } of ours) {
      expect([Behavior, LockDelay, NodeChecks ?? [], Checks ?? []]).toEqual(['delete', 0, [], []]);
    }
    await lock.release();
  });

  it('leaves no listener behind with a blocking query', async () => {
    const client = new ConsulClient({
      urls: [new URL(server.url)],
      token: undefined,
      datacenter: undefined,
      tls: undefined,
      patience: 2_000,
      connections: 1,
      watches: 1,
    });
    const { signal } = new AbortController();
    for (let asked = 0; asked < 20; asked++) {
      // Without an index it is answered at once.
      await client.wait({ method: 'GET', path: '/kv/nothing', waitMs: 2_000, signal });
    }
    await eventually('the last one is gone too', () => getEventListeners(signal, 'abort').length === 0);
    client.close();
  });

  it('has its locks in the datacenter that is named, and a wrong name is told at boot', async () => {
    await using engine = engineOn({ url: server.url, datacenter: 'dc1' });
    await engine.ping();
    await using wrong = engineOn({ url: server.url, datacenter: 'elsewhere' });
    await expect(wrong.ping()).rejects.toThrow(/No path to datacenter/);
  });

  it('lists what is held and waited for, a page at a time', async () => {
    const backend = consul({ url: server.url, sessionTtlMin: '1s' });
    await using engine = engineOn({ url: server.url });
    const keys = ['page/1', 'page/2', 'page/3'];
    const locks = await Promise.all(keys.map((key) => engine.acquire(key)));
    const waiting = engine.acquire('page/2');
    await eventually('it waits', async () => (await engine.inspect('page/2')).waiting === 1);
    const first = await backend.list!({ prefix: 'lock:page/', limit: 2 });
    const second = await backend.list!({ prefix: 'lock:page/', limit: 2, cursor: first.cursor! });
    expect(second.cursor).toBe(undefined);
    const all = [...first.keys, ...second.keys];
    expect(all.map(({ key, waiting }) => [key, waiting])).toEqual([
      ['lock:page/1', 0],
      ['lock:page/2', 1],
      ['lock:page/3', 0],
    ]);
    expect(all[0]?.holders[0]).toMatchObject({ owner: locks[0]?.owner, fencingToken: locks[0]?.fencingToken });
    for (const lock of locks) await lock.release();
    await (await waiting).release();
    await backend.close();
  });

  it('serves waiters of more keys than there are blocking queries', async () => {
    await using engine = engineOn({ url: server.url, maxWatches: 2 });
    await using other = engineOn({ url: server.url });
    const keys = Array.from({ length: 10 }, (_, number) => `watched-${number}`);
    const locks = await Promise.all(keys.map((key) => other.acquire(key)));
    const waiting = keys.map((key) => engine.acquire(key, { wait: '20s' }));
    for (const key of keys) await eventually('it waits', async () => (await other.inspect(key)).waiting === 1);
    const releasedAt = performance.now();
    await Promise.all(locks.map((lock) => lock.release()));
    for (const lock of await Promise.all(waiting)) await lock.release();
    // Without a push they would look again after 5 s.
    expect(performance.now() - releasedAt).toBeLessThan(4_000);
  });
});

describe('Several Consul agents', () => {
  let cluster: ConsulCluster;
  beforeAll(async () => {
    cluster = await startConsulCluster(3);
  });
  afterAll(() => cluster?.stop());

  it('stand for each other: one that is frozen costs nobody his lock', async () => {
    await using engine = engineOn({ url: [...cluster.urls] });
    const leader = await cluster.leader();
    const frozen = cluster.members.find((member) => member !== leader)!;
    const lock = await engine.acquire('kept', { ttl: '3s' });
    frozen.pause();
    for (let round = 0; round < 20; round++) await (await engine.acquire('other')).release();
    await lock.extend('3s');
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe(true);
    frozen.resume();
  });

  it('keep what was granted when the leader is frozen, and when it then dies', async () => {
    await using engine = engineOn({ url: [...cluster.urls] });
    const lock = await engine.acquire('kept', { ttl: '20s' });
    const leader = await cluster.leader();
    leader.pause();
    const next = await engine.acquire('next', { ttl: '20s', wait: '20s' });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken!);
    await leader.kill();
    await cluster.leader();
    const last = await engine.acquire('last', { ttl: '20s', wait: '20s' });
    expect(last.fencingToken).toBeGreaterThan(next.fencingToken!);
    for (const one of [lock, next, last]) expect([one.held, await one.release()]).toEqual([true, true]);
    await leader.restart({ keepData: true });
    await cluster.leader();
  });

  it('may stand behind a balancer, which sends each connection to another one, and one of them may die', async () => {
    const alive = cluster.members.map(({ host }) => Number(host.split(':')[1]));
    await using balancer = await startBalancer(alive);
    await using engine = engineOn({ url: balancer.url });
    await using other = engineOn({ url: balancer.url });
    const kept = await engine.acquire('kept', { ttl: '3s' });
    let token = kept.fencingToken!;
    const turns = async (count: number): Promise<void> => {
      for (let turn = 0; turn < count; turn++) {
        const lock = await engine.acquire('in turn', { ttl: '3s', wait: '20s' });
        const waiting = other.acquire('in turn', { ttl: '3s', wait: '20s' });
        await eventually('it waits', async () => (await engine.inspect('in turn')).waiting === 1);
        expect(await lock.release()).toBe(true);
        const next = await waiting;
        expect([lock.fencingToken! > token, next.fencingToken! > lock.fencingToken!]).toEqual([true, true]);
        token = next.fencingToken!;
        expect(await next.release()).toBe(true);
      }
    };
    await turns(10);
    expect(balancer.used.size).toBe(3);
    const leader = await cluster.leader();
    const [dies] = cluster.members.filter((member) => member !== leader);
    alive.splice(alive.indexOf(Number(dies?.host.split(':')[1])), 1);
    await dies?.kill();
    await turns(5);
    expect([kept.held, await kept.release()]).toEqual([true, true]);
    expect(await entries(leader)).toEqual([]);
  });
});

/** Sends each connection to the next of these ports. */
async function startBalancer(ports: readonly number[]) {
  const used = new Set<number>();
  let connections = 0;
  const server = createServer((inside) => {
    const port = ports[connections++ % ports.length] ?? 0;
    used.add(port);
    const outside = connect(port, '127.0.0.1');
    for (const socket of [inside, outside]) socket.setNoDelay(true).on('error', () => undefined);
    inside.pipe(outside).pipe(inside);
    inside.on('close', () => outside.destroy());
    outside.on('close', () => inside.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    /** The ports that had a connection. */
    used,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

describe('consul()', () => {
  it('says what is wrong with its options', () => {
    for (const options of [
      { url: '' },
      { url: [] },
      { url: 'consul:8500' },
      { url: 'http://user:secret@consul:8500' },
      { url: 'http://consul:8500', root: '/slash' },
      { url: 'http://consul:8500', maxWatches: 0 },
      { url: 'http://consul:8500', tokn: 'x' },
      // Every owner has an entry of its own, so it would delay nobody.
      { url: 'http://consul:8500', lockDelay: '5s' },
    ]) {
      expect(() => consul(options as ConsulOptions)).toThrow(LockConfigurationError);
    }
  });

  it('refuses a lease that the servers would not take, and a lock that has to stay closed', async () => {
    await using engine = engineOn({ url: 'http://127.0.0.1:1', sessionTtlMin: '10s' });
    await expect(engine.acquire('short', { ttl: '5s' })).rejects.toThrow(LockConfigurationError);
    await expect(engine.acquire('kept', { minHold: '1s' })).rejects.toThrow(/minHold/);
    await expect(engine.ping()).rejects.toThrow(LockBackendError);
  });
});
