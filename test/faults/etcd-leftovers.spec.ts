import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { inLine } from './support/in-pod.js';

const ttl = 3_000;

describe('A key that comes too late, from a member that was frozen with the request in it', () => {
  let server: EtcdServer;
  let admin: Etcd3;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd({ own: true });
    admin = new Etcd3({ hosts: server.host });
    engine = new LockEngine(etcd({ hosts: server.host }));
  });
  afterAll(async () => {
    await engine?.close(0);
    admin?.close();
    await server?.stop();
  });

  async function leaseOf(key: string): Promise<string> {
    const { kvs } = await admin.kv.range({ key: Buffer.from(`lock:${key}/`), range_end: Buffer.from(`lock:${key}0`) });
    return kvs[0]!.lease;
  }

  it('is cleared away with the next renewal, although its lease lives on', async () => {
    const kept = await engine.acquire('kept', { ttl });
    const lease = await leaseOf('kept');
    // As the request of a claim that was given up and withdrawn before it arrived.
    const owner = `${engine.instance}:999999`;
    await admin.kv.put({ key: Buffer.from(`lock:haunted/${owner}`), value: Buffer.from('exclusive'), lease });
    expect(await engine.tryAcquire('haunted')).toBeNull();
    const startedAt = performance.now();
    const lock = await engine.acquire('haunted', { ttl, wait: '10s' });
    console.log(`cleared after ${Math.round(performance.now() - startedAt)} ms with a lease of ${ttl} ms`);
    expect(performance.now() - startedAt).toBeLessThan(ttl);
    expect(kept.held && lock.held).toBe(true);
    await kept.release();
    await lock.release();
  });

  it('does not look like it: what is held and what waits stays', async () => {
    const losses: string[] = [];
    const stop = engine.listen((event) => {
      if (event.type === 'lost') losses.push(`${event.key}: ${event.reason}`);
    });
    const locks = await Promise.all(Array.from({ length: 20 }, (_, i) => engine.acquire(`held ${i}`, { ttl })));
    const waiting = Array.from({ length: 20 }, (_, i) => engine.acquire(`held ${i}`, { ttl, wait: '30s' }));
    await new Promise((resolve) => setTimeout(resolve, 2 * ttl));
    expect(losses).toEqual([]);
    expect(locks.every((lock) => lock.held)).toBe(true);
    for (const lock of locks) expect(await lock.release()).toBe(true);
    for (const lock of await Promise.all(waiting)) expect(await lock.release()).toBe(true);
    stop();
  });

  it('is not the only thing that the look finds: a holder whose key is gone is told, and nobody else', async () => {
    const [victim, neighbour] = [await engine.acquire('victim', { ttl }), await engine.acquire('neighbour', { ttl })];
    await admin.delete().prefix('lock:victim/');
    await eventually('the victim is told', () => !victim.held, { within: ttl });
    expect(String(victim.signal.reason)).toMatch(/released by force, or its key was removed/);
    expect(neighbour.held).toBe(true);
    await victim.release();
    await neighbour.release();
  });
});

describe('A waiter whose own key is gone', () => {
  it('is let in by the key ahead of it, reads its own again, and is told long before the next renewal', async () => {
    await using server = await startEtcd({ own: true });
    const admin = new Etcd3({ hosts: server.host });
    const [engine, other] = [
      new LockEngine(etcd({ hosts: server.host })),
      new LockEngine(etcd({ hosts: server.host })),
    ];
    for (const [key, options] of [
      ['mutex', {}],
      ['permit', { limit: 2 }],
      ['reader', { mode: 'shared' }],
    ] as const) {
      // So long that a renewal would tell only much later.
      const long = { ttl: '60s', ...options } as const;
      const held = [await engine.acquire(key, key === 'reader' ? { ttl: '60s' } : long)];
      if (key === 'permit') held.push(await engine.acquire(key, long));
      const waiting = other.acquire(key, { ...long, wait: '20s' });
      await inLine(engine, key, 1);
      await admin.delete().prefix(`lock:${key}/${other.instance}`);
      await held[0]!.release();
      const lock = await waiting;
      await eventually(`the ${key} is told`, () => !lock.held, { within: 1_000 });
      expect(String(lock.signal.reason)).toMatch(/LockLostError/);
      expect(await lock.release()).toBe(false);
      await held[1]?.release();
    }
    await Promise.all([engine.close(0), other.close(0)]);
    admin.close();
  });
});
