import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { etcdctl, EtcdctlLock } from './support/etcdctl.js';
import { inLine } from './support/in-pod.js';

const patient = { wait: '20s' } as const;

describe("With etcd's own `etcdctl lock` on the same name", () => {
  let server: EtcdServer;
  let engine: LockEngine;
  let other: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    engine = new LockEngine(etcd({ hosts: server.host }));
    other = new LockEngine(etcd({ hosts: server.host }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await other?.close(0);
    await server?.stop();
  });

  it.concurrent('etcdctl keeps us out, we wait for it, and get the lock when it lets go', async () => {
    const operator = new EtcdctlLock(server.host, 'lock:maintenance');
    const key = await operator.acquired;
    expect(key).toMatch(/^lock:maintenance\/[0-9a-f]+$/);

    expect(await engine.tryAcquire('maintenance')).toBeNull();
    expect(await engine.tryAcquire('maintenance', { mode: 'shared' })).toBeNull();
    await expect(engine.acquire('maintenance', { limit: 3 })).rejects.toThrow(/a semaphore of 3.*limit 1/);
    const info = await engine.inspect('maintenance');
    expect(info).toMatchObject({ held: true, mode: 'exclusive', limit: 1, waiting: 0 });
    expect(`lock:maintenance/${info.holders[0]?.owner}`).toBe(key);

    const waiting = engine.acquire('maintenance', patient);
    await inLine(engine, 'maintenance', 1);
    await operator.release();
    const lock = await waiting;
    expect(lock.fencingToken).toBeGreaterThan(info.holders[0]!.fencingToken!);
    await lock.release();
  });

  it.concurrent('we keep etcdctl out, it waits for us, and gets the lock when we let go', async () => {
    const readers = [
      await engine.acquire('report', { mode: 'shared' }),
      await other.acquire('report', { mode: 'shared' }),
    ];
    await using operator = new EtcdctlLock(server.host, 'lock:report');
    await inLine(engine, 'report', 1);
    // It stands before readers who come later, as everybody does.
    expect(await engine.tryAcquire('report', { mode: 'shared' })).toBeNull();
    await readers[0]?.release();
    await inLine(engine, 'report', 1);
    expect(operator.has).toBe(false);
    await readers[1]?.release();
    await operator.acquired;
    expect((await engine.inspect('report')).holders).toHaveLength(1);
  });

  it.concurrent('all stand in one line, and are served in the order in which they came', async () => {
    const first = await engine.acquire('import');
    const served: string[] = [];
    const operators: EtcdctlLock[] = [];
    const ours: Promise<void>[] = [];
    const join = async (name: string): Promise<void> => {
      const before = (await engine.inspect('import')).waiting;
      if (name.startsWith('etcdctl')) {
        const operator = new EtcdctlLock(server.host, 'lock:import');
        operators.push(operator);
        ours.push(operator.acquired.then(() => void served.push(name)).then(() => operator.release()));
      } else {
        const turn = (name === 'we' ? engine : other).acquire('import', patient);
        ours.push(
          turn.then(async (lock: Lock) => {
            served.push(name);
            await lock.release();
          }),
        );
      }
      await inLine(engine, 'import', before + 1);
    };
    const order = ['etcdctl 1', 'we', 'etcdctl 2', 'etcdctl 3', 'another process', 'we', 'etcdctl 4'];
    for (const name of order) await join(name);
    await first.release();
    await Promise.all(ours);
    expect(served).toEqual(order);
  });

  it.concurrent('our key reads as theirs do, and a lock named below another is none of its', async () => {
    const below = await engine.acquire('files/2026/july');
    const file = await engine.tryAcquire('files', { ttl: '5s' });
    const reader = await other.tryAcquire('files/2026', { mode: 'shared' });
    const sets = await other.acquire(['files/2025', 'files/2026/june']);
    expect(file?.held && reader?.held && sets.held).toBe(true);
    const waiting = other.acquire('files', patient);
    await inLine(engine, 'files', 1);
    expect(await engine.tryAcquire('files')).toBeNull();
    expect(etcdctl(server.host, 'get', `lock:files/${file?.owner}`).split('\n').slice(0, 2)).toEqual([
      `lock:files/${file?.owner}`,
      'exclusive',
    ]);
    await file?.release();
    for (const lock of [await waiting, below, reader, sets]) await lock?.release();
    await eventually(
      'nothing is left',
      () => etcdctl(server.host, 'get', '--prefix', '--keys-only', 'lock:files').trim() === '',
    );
  });
});
