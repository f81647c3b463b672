import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim, SessionBackend } from '../../lib/backends/backend.js';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';

describe('What is done to an etcd by hand', () => {
  let server: EtcdServer;
  let client: Etcd3;
  let engine: LockEngine;
  const prefix = `by-hand-${process.pid}:`;

  beforeAll(async () => {
    server = await startEtcd();
    client = new Etcd3({ hosts: server.host });
    engine = new LockEngine(etcd({ hosts: server.host }), { prefix });
  });
  afterAll(async () => {
    await engine?.close(0);
    client?.close();
    await server?.stop();
  });

  it('a lease that was revoked: its holder is told with the next renewal, and the next lock has a new one', async () => {
    const held = await engine.acquire('revoked', { ttl: '3s' });
    const [kv] = (await client.getAll().prefix(prefix).exec()).kvs;
    await client.leaseClient.leaseRevoke({ ID: kv?.lease ?? '' });
    await eventually('the holder is told', () => !held.held, { within: 1_800 });
    await held.release();
    const next = await engine.acquire('revoked', { ttl: '3s' });
    expect(next.held).toBe(true);
    expect(await next.release()).toBe(true);
  });

  it('a lease that was revoked just before somebody asks: that one is served all the same', async () => {
    const first = await engine.acquire('first', { ttl: '20s' });
    const [kv] = (await client.getAll().prefix(prefix).exec()).kvs;
    await client.leaseClient.leaseRevoke({ ID: kv?.lease ?? '' });
    const second = await engine.acquire('second', { ttl: '20s', wait: '5s' });
    expect([first.held, second.held]).toEqual([false, true]);
    await Promise.all([first.release(), second.release()]);
  });

  it('keys of other locks between those of a line hide none of its holders', async () => {
    const below = async (name: string) => engine.acquire(`orders/${name}`);
    const locks = [
      await below('1'),
      await engine.acquire('orders'),
      await below('2'),
      await below('3'),
      await below('4'),
    ];
    await expect(engine.acquire('orders', { wait: 300 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(await engine.tryAcquire('orders')).toBeNull();
    await Promise.all(locks.map((lock) => lock.release()));
  });

  it('keys that were removed: their holders are told with the next renewal, and the others keep theirs', async () => {
    const locks = await Promise.all(
      Array.from({ length: 300 }, (_, index) => engine.acquire(`removed ${index}`, { ttl: '6s', wait: '60s' })),
    );
    await client.delete().prefix(`${prefix}removed 1`);
    const removed = locks.filter(({ key }) => key.startsWith('removed 1'));
    await eventually('all holders are told', () => !removed.some(({ held }) => held), { within: 2_500 });
    expect(locks.filter(({ held }) => held)).toHaveLength(locks.length - removed.length);
    await Promise.all(locks.map((lock) => lock.release()));
  });

  it('thousands of keys that one lease has: all are in the list that the audit reads, and no more are on it', async () => {
    const backend = engine.backend as SessionBackend;
    const session = await backend.open(20_000);
    const claims = Array.from({ length: 5_000 }, (_, index) => claim(`${prefix}many ${index}`));
    for (let from = 0; from < claims.length; from += 100) {
      await client.kv.txn({
        compare: [],
        success: claims.slice(from, from + 100).map(({ key, owner }) => ({
          request_put: {
            key: Buffer.from(`${key}/${owner}`),
            value: Buffer.from('exclusive'),
            lease: BigInt(`0x${session.id}`).toString(),
          },
        })),
        failure: [],
      });
    }
    await client.delete().prefix(`${prefix}many 3`);
    const there = new Set((await session.attached?.(claims))?.map(({ key }) => key));
    const expected = claims.map(({ key }) => key).filter((key) => !key.startsWith(`${prefix}many 3`));
    expect(there).toEqual(new Set(expected));
    // One more than so many, and the next lock gets a session of its own.
    expect(backend.perSession).toBeLessThan(claims.length);
    await session.end();
    expect((await client.getAll().prefix(`${prefix}many`).exec()).kvs).toEqual([]);
  });
});

const claim = (key: string): Claim => ({
  key,
  owner: 'owner:1',
  mode: 'exclusive',
  limit: 1,
  ttl: 20_000,
  claimTtl: 20_000,
});
