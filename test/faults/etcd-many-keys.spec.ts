import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';

/** More than etcd takes in one transaction. */
const keys = Array.from({ length: 150 }, (_, index) => `key ${index}`);

describe('More keys at once than etcd takes in one transaction', () => {
  let server: EtcdServer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    engine = new LockEngine(etcd({ hosts: server.host }), { prefix: `many-${process.pid}:` });
  });
  afterAll(async () => {
    await engine?.close(0);
    await server?.stop();
  });

  it('are locked all or none, also when they are asked for once and not waited for', async () => {
    const all = await engine.tryAcquire(keys);
    expect(all?.keys).toHaveLength(keys.length);
    expect(await engine.tryAcquire('key 149')).toBeNull();
    await all?.release();

    const last = await engine.acquire('key 149');
    expect(await engine.tryAcquire(keys)).toBeNull();
    await last.release();
    const again = await engine.tryAcquire(keys);
    expect(again?.held).toBe(true);
    await again?.release();
  });
});
