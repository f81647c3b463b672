import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { startEtcdCluster } from '../servers/etcd.js';

const LOCKS = 1_000;

describe(`${LOCKS} locks at once, from one process on a cluster of three`, () => {
  let cluster: Awaited<ReturnType<typeof startEtcdCluster>>;
  let engine: LockEngine;

  beforeAll(async () => {
    cluster = await startEtcdCluster(3);
    engine = new LockEngine(etcd({ hosts: cluster.hosts }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await cluster?.stop();
  });

  it('are all served, and a lock that was held before stays', { timeout: 120_000 }, async () => {
    const events: string[] = [];
    engine.listen(({ type }) => events.push(type));
    const standing = await engine.acquire('standing', { ttl: '6s' });
    const all = Array.from({ length: LOCKS }, (_, index) =>
      engine.withLock(`burst ${index}`, () => 'served', { ttl: '6s', wait: '100s' }),
    );
    expect((await Promise.all(all)).filter((one) => one === 'served')).toHaveLength(LOCKS);
    expect(standing.held).toBe(true);
    expect(events).not.toContain('lost');
    expect(await standing.release()).toBe(true);
  });
});

describe('Very many holders of one key', () => {
  it('are all released by force, though one transaction takes only 128', { timeout: 60_000 }, async () => {
    await using cluster = Object.assign(await startEtcdCluster(1), {
      async [Symbol.asyncDispose]() {
        await cluster.stop();
      },
    });
    const engine = new LockEngine(etcd({ hosts: cluster.hosts }));
    await Promise.all(Array.from({ length: 200 }, () => engine.acquire('shared', { mode: 'shared', wait: '30s' })));
    expect(await engine.forceRelease('shared')).toBe(true);
    expect((await engine.inspect('shared')).holders).toEqual([]);
    await engine.close(0);
  });
});
