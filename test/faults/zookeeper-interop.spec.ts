import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { zookeeper } from '../../lib/backends/zookeeper/index.js';
import * as requests from '../../lib/backends/zookeeper/client/requests.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import { withClient } from '../contract/zookeeper-fixture.js';
import { eventually } from '../servers/eventually.js';
import { dyingWithUs } from '../servers/process.js';
import { startZooKeeper, type ZooKeeperServer } from '../servers/zookeeper.js';
import { inLine } from './support/in-pod.js';

/** The path that a lock with this key has for other clients. */
const pathOf = (key: string): string => `/shared/lock:${key}`;
const ttl = 10_000;

/** A real program with kazoo's locks. */
class Kazoo {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  constructor(hosts: string) {
    const program = fileURLToPath(new URL('./support/kazoo-peer.py', import.meta.url));
    this.#child = spawn(...dyingWithUs('/usr/bin/python3', [program, hosts]), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  async answer(): Promise<string> {
    return String((await this.#answers.next()).value);
  }

  ask(order: 'acquire' | 'try' | 'release', kind: 'Lock' | 'ReadLock' | 'WriteLock', key: string): Promise<string> {
    this.#child.stdin?.write(`${order} ${kind} ${pathOf(key)}\n`);
    return this.answer();
  }

  stop(): void {
    this.#child.kill('SIGKILL');
    this.#lines.close();
  }
}

describe('Beside the real kazoo, on one name', () => {
  let server: ZooKeeperServer;
  let kazoo: Kazoo;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startZooKeeper({ own: true });
    kazoo = new Kazoo(server.host);
    if ((await kazoo.answer()) !== 'ready') throw new Error('kazoo did not start');
    engine = new LockEngine(zookeeper({ connect: `${server.host}/shared`, layout: 'kazoo' }));
  });
  afterAll(async () => {
    kazoo?.stop();
    await engine?.close(0);
    await server?.stop();
  });

  it.each(['Lock', 'WriteLock'] as const)('our lock and its %s exclude each other, in one line', async (kind) => {
    const key = `exclusive-${kind}`;
    const ours = await engine.acquire(key, { ttl });
    expect(await kazoo.ask('try', kind, key)).toBe('false');
    const theirs = kazoo.ask('acquire', kind, key);
    await inLine(engine, key, 1);
    const behind = engine.acquire(key, { ttl, wait: '20s' });
    await inLine(engine, key, 2);
    await ours.release();
    expect(await theirs).toBe('true');
    expect(await engine.tryAcquire(key, { ttl })).toBe(null);
    expect((await engine.inspect(key)).waiting).toBe(1);
    expect(await kazoo.ask('release', kind, key)).toBe('true');
    const next = await behind;
    expect(next.fencingToken).toBeGreaterThan(ours.fencingToken!);
    await next.release();
    expect(await kazoo.ask('try', kind, key)).toBe('true');
    await kazoo.ask('release', kind, key);
  });

  it('readers of both share, and a writer of either waits for them', async () => {
    const ours = await engine.acquire('read', { ttl, mode: 'shared' });
    expect(await kazoo.ask('try', 'ReadLock', 'read')).toBe('true');
    expect(await engine.tryAcquire('read', { ttl })).toBe(null);
    expect(await kazoo.ask('try', 'WriteLock', 'read')).toBe('false');
    await ours.release();
    const writer = engine.acquire('read', { ttl, wait: '20s' });
    await inLine(engine, 'read', 1);
    expect(await kazoo.ask('release', 'ReadLock', 'read')).toBe('true');
    const held = await writer;
    expect(await kazoo.ask('try', 'ReadLock', 'read')).toBe('false');
    await held.release();
  });

  it('a child that no layout knows is a conflict, and is never ignored', async () => {
    const path = pathOf('strange');
    await withClient(server.host, async (client) => {
      await client.ask(requests.create(path, 'container', 'everybody'));
      await client.ask(requests.create(`${path}/leases`, 'persistent', 'everybody'));
    });
    await expect(engine.acquire('strange', { ttl, wait: 0 })).rejects.toThrow(LockConfigurationError);
    await withClient(server.host, (client) => client.ask(requests.remove(`${path}/leases`)));
    await eventually('it is free', async () => (await engine.tryAcquire('strange', { ttl }))?.release());
  });
});
