import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LayoutName, zookeeper } from '../../lib/backends/zookeeper/index.js';
import * as requests from '../../lib/backends/zookeeper/client/requests.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import { withClient } from '../contract/zookeeper-fixture.js';
import { eventually } from '../servers/eventually.js';
import { dyingWithUs } from '../servers/process.js';
import { JARS, startZooKeeper, type ZooKeeperServer } from '../servers/zookeeper.js';
import { inLine } from './support/in-pod.js';

/** The path that a lock with this key has for other clients. */
const pathOf = (key: string): string => `/shared/lock:${key}`;
const ttl = 10_000;

const support = (file: string): string => fileURLToPath(new URL(`./support/${file}`, import.meta.url));

/** A real program with another client's locks. */
class Peer {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(...dyingWithUs(command, args), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  async answer(): Promise<string> {
    return String((await this.#answers.next()).value);
  }

  /** @throws when it did not start */
  async ready(): Promise<void> {
    if ((await this.answer()) !== 'ready') throw new Error('the other client did not start');
  }

  ask(order: 'acquire' | 'try' | 'release', kind: string, key: string): Promise<string> {
    this.#child.stdin?.write(`${order} ${kind} ${pathOf(key)}\n`);
    return this.answer();
  }

  stop(): void {
    this.#child.kill('SIGKILL');
    this.#lines.close();
  }
}

const kazooAt = (hosts: string): Peer => new Peer('/usr/bin/python3', [support('kazoo-peer.py'), hosts]);

const CURATOR = ['curator-recipes', 'curator-framework', 'curator-client', 'guava', 'slf4j-api', 'slf4j-nop'];

/** Java compiles the one file by itself. */
const curatorAt = (hosts: string): Peer =>
  new Peer('java', [
    ...['-XX:TieredStopAtLevel=1', '-Xshare:auto', '-cp'],
    [...CURATOR, ...JARS.filter((jar) => !jar.startsWith('slf4j'))]
      .map((jar) => `/usr/share/java/${jar}.jar`)
      .join(':'),
    support('CuratorPeer.java'),
    hosts,
  ]);

/** The peer's lock of that kind and ours are one lock with one line. */
async function excludeEachOther(engine: LockEngine, peer: Peer, kind: string): Promise<void> {
  const key = `exclusive-${kind}`;
  const ours = await engine.acquire(key, { ttl });
  expect(await peer.ask('try', kind, key)).toBe('false');
  const theirs = peer.ask('acquire', kind, key);
  await inLine(engine, key, 1);
  const behind = engine.acquire(key, { ttl, wait: '20s' });
  await inLine(engine, key, 2);
  await ours.release();
  expect(await theirs).toBe('true');
  expect(await engine.tryAcquire(key, { ttl })).toBe(null);
  expect((await engine.inspect(key)).waiting).toBe(1);
  expect(await peer.ask('release', kind, key)).toBe('true');
  const next = await behind;
  expect(next.fencingToken).toBeGreaterThan(ours.fencingToken!);
  await next.release();
  expect(await peer.ask('try', kind, key)).toBe('true');
  await peer.ask('release', kind, key);
}

async function readTogether(engine: LockEngine, peer: Peer): Promise<void> {
  const ours = await engine.acquire('read', { ttl, mode: 'shared' });
  expect(await peer.ask('try', 'ReadLock', 'read')).toBe('true');
  expect(await engine.tryAcquire('read', { ttl })).toBe(null);
  expect(await peer.ask('try', 'WriteLock', 'read')).toBe('false');
  await ours.release();
  const writer = engine.acquire('read', { ttl, wait: '20s' });
  await inLine(engine, 'read', 1);
  expect(await peer.ask('release', 'ReadLock', 'read')).toBe('true');
  const held = await writer;
  expect(await peer.ask('try', 'ReadLock', 'read')).toBe('false');
  expect(await peer.ask('try', 'WriteLock', 'read')).toBe('false');
  await held.release();
}

describe('Beside the real kazoo, on one name', () => {
  let server: ZooKeeperServer;
  let kazoo: Peer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startZooKeeper({ own: true });
    kazoo = kazooAt(server.host);
    await kazoo.ready();
    engine = new LockEngine(zookeeper({ connect: `${server.host}/shared`, layout: 'kazoo' }));
  });
  afterAll(async () => {
    kazoo?.stop();
    await engine?.close(0);
    await server?.stop();
  });

  it.each(['Lock', 'WriteLock'] as const)('our lock and its %s exclude each other, in one line', (kind) =>
    excludeEachOther(engine, kazoo, kind),
  );

  it('readers of both share, and a writer of either waits for them', () => readTogether(engine, kazoo));

  it('a child that no layout knows is a conflict, and is never ignored', async () => {
    const path = pathOf('strange');
    await withClient(server.host, async (client) => {
      await client.ask(requests.create(path, 'container', 'everybody'));
      await client.ask(requests.create(`${path}/leases`, 'persistent', 'everybody'));
    });
    const asked = engine.acquire('strange', { ttl, wait: 0 });
    await expect(asked).rejects.toThrow(LockConfigurationError);
    await expect(asked).rejects.toThrow(/in use as something else/);
    await withClient(server.host, (client) => client.ask(requests.remove(`${path}/leases`)));
    await eventually('it is free', async () => (await engine.tryAcquire('strange', { ttl }))?.release());
  });
});

describe('Beside the real Curator, on one name', () => {
  let server: ZooKeeperServer;
  let curator: Peer;
  let mutex: LockEngine;
  let readWrite: LockEngine;

  beforeAll(async () => {
    server = await startZooKeeper({ own: true });
    curator = curatorAt(server.host);
    await curator.ready();
    const engineFor = (layout: LayoutName) => new LockEngine(zookeeper({ connect: `${server.host}/shared`, layout }));
    [mutex, readWrite] = [engineFor('curator'), engineFor('curator-rw')];
  });
  afterAll(async () => {
    curator?.stop();
    await Promise.all([mutex?.close(0), readWrite?.close(0)]);
    await server?.stop();
  });

  it.each([
    ['Mutex', () => mutex],
    ['WriteLock', () => readWrite],
  ] as const)('our lock and its %s exclude each other, in one line', (kind, engineOf) =>
    excludeEachOther(engineOf(), curator, kind),
  );

  it('readers of both share, and a writer of either waits for them', () => readTogether(readWrite, curator));

  it('says what the name is used as where a client of another kind has it', async () => {
    expect(await curator.ask('try', 'Mutex', 'mixed')).toBe('true');
    await expect(readWrite.acquire('mixed', { ttl, wait: '5s' })).rejects.toThrow(/in use as something else/);
    await curator.ask('release', 'Mutex', 'mixed');
    expect(await curator.ask('try', 'SemaphoreMutex', 'permits')).toBe('true');
    await expect(mutex.acquire('permits', { ttl, wait: '5s' })).rejects.toThrow(/in use as something else/);
    expect(await curator.ask('release', 'SemaphoreMutex', 'permits')).toBe('true');
  });
});
