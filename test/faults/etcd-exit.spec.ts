import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { acquireIn, inLine } from './support/in-pod.js';
import { now } from './support/machine-clock.js';
import { type Pod, startPods } from './support/pod.js';

describe('A process that uses etcd locks', () => {
  let server: EtcdServer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    engine = new LockEngine(etcd({ hosts: server.host }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await server?.stop();
  });

  /** A lock that had to be waited for, so that the process has its lease, its connection and its watch stream. */
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

  it('ends by itself within a second of closing, and gives its lease back', async () => {
    await using pods = await startPods(1, { etcd: [server.host] });
    await contendedIn(pods[0]!, 'closed');
    // What `app.close()` does.
    await pods[0]!.run(({ engine }) => engine.close());
    expect(await leftAlone(pods[0]!)).toBeLessThan(1_000);
    expect(await engine.tryAcquire('closed').then((lock) => lock?.release())).toBe(true);
  });

  it('ends by itself when it holds nothing, although nobody closed its connection', async () => {
    await using pods = await startPods(1, { etcd: [server.host] });
    await contendedIn(pods[0]!, 'done');
    await pods[0]!.run(({ kept }) => kept['done'].release());
    // An unused watch stream lingers for a second.
    expect(await leftAlone(pods[0]!)).toBeLessThan(3_000);
  });

  it('is not kept alive by the renewals of a lock that it holds', async () => {
    await using pods = await startPods(1, { etcd: [server.host] });
    await contendedIn(pods[0]!, 'held on');
    expect(await leftAlone(pods[0]!)).toBeLessThan(3_000);
    expect((await engine.inspect('held on')).held).toBe(true);
  });

  it('is kept alive by a lock that it waits for', async () => {
    await using pods = await startPods(1, { etcd: [server.host] });
    const [pod] = pods as unknown as [Pod];
    const lock = await engine.acquire('awaited');
    await pod.run(({ engine, say }) => {
      void engine.acquire('awaited', { wait: '20s' }).then((lock) => say('acquired', lock.fencingToken));
    });
    await inLine(engine, 'awaited', 1);
    await pod.run(({ letGo }) => letGo());
    const ended = await Promise.race([pod.exited, new Promise((resolve) => setTimeout(resolve, 3_000, 'still there'))]);
    expect(ended).toBe('still there');
    await lock.release();
    expect((await pod.hears('acquired')).value).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(await pod.exited).toBe(0);
  });
});
