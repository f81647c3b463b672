import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd, isOwner } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';

describe('isOwner(), in a transaction of the user on the same etcd', () => {
  let server: EtcdServer;
  let client: Etcd3;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    client = new Etcd3({ hosts: server.host });
    engine = new LockEngine(etcd({ client }));
  });
  afterAll(async () => {
    await engine?.close(0);
    client?.close();
    await server?.stop();
  });

  const write = async (comparison: ReturnType<typeof isOwner>, text: string): Promise<boolean> => {
    const { succeeded } = await client
      .if(...comparison)
      .then(client.put('report').value(text))
      .commit();
    return succeeded;
  };

  it('lets the holder write, and nobody who has lost the lock, whatever he believes', async () => {
    const lock = await engine.acquire('report');
    const mine = isOwner(lock);
    expect(await write(mine, 'first')).toBe(true);
    // The holder has not been told yet.
    await engine.forceRelease('report');
    const successor = await engine.acquire('report');
    expect(await write(mine, 'stale')).toBe(false);
    expect(await write(isOwner(successor), 'second')).toBe(true);
    expect(await client.get('report').string()).toBe('second');
    await successor.release();
    expect(await write(isOwner(successor), 'too late')).toBe(false);
    await lock.release();
  });

  it('goes with a key of any name, with readers and permits, and with the prefix of the module', async () => {
    const other = new LockEngine(etcd({ client }), { prefix: 'jobs/' });
    for (const [options, key] of [
      [{ mode: 'shared' }, 'a/b c é'],
      [{ limit: 3 }, 'pool'],
    ] as const) {
      const lock = await other.acquire(key, options);
      expect(await write(isOwner(lock, { prefix: 'jobs/' }), key)).toBe(true);
      expect(await write(isOwner(lock), key)).toBe(false);
      await lock.release();
    }
    await other.close(0);
  });

  it('is refused for a lock of several keys, which no single key stands for', async () => {
    const lock = await engine.acquire(['one', 'two']);
    expect(() => isOwner(lock)).toThrow(/takes a lock of one key/);
    await lock.release();
  });
});
