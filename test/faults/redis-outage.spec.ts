import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';

/** The longest a single call is waited for: the default of `callTimeout`. */
const callTimeout = 2_000;

describe('When Redis itself fails', () => {
  let server: RedisServer;
  let engine: LockEngine;
  let other: LockEngine;

  beforeEach(async () => {
    server = await startRedis({ own: true });
    engine = new LockEngine(redis({ url: server.url }));
    other = new LockEngine(redis({ url: server.url }));
  });
  afterEach(async () => {
    await Promise.all([engine.close(0), other.close(0)]);
    await server.stop();
  });

  describe('frozen for longer than the lease', () => {
    const ttl = 1_000;

    it('the holder is told before its lease ends on the server, and everything goes on after', async () => {
      const lock = await engine.acquire('held', { ttl });
      const { signal } = lock;
      const aborted = once(signal, 'abort').then(() => Date.now());
      const client = new Redis(server.url);
      const leaseEnd = async () => Number(await client.hget('{lock:held}', 'e'));
      const firstEnd = await leaseEnd();
      const end = await eventually('a renewal', async () => {
        const renewed = await leaseEnd();
        return renewed > firstEnd && renewed;
      });
      server.pause();

      // The server's clock is the one of this machine, and so can be read while it is frozen.
      let lastBelieved = 0;
      let longestStall = 0;
      for (let last = Date.now(), looks = last; looks < end + 300; last = looks) {
        looks = Date.now();
        longestStall = Math.max(longestStall, looks - last);
        if (lock.held || !signal.aborted) lastBelieved = looks;
        await new Promise(setImmediate);
      }
      expect(lastBelieved).toBeGreaterThan(end - ttl / 2);
      expect(lastBelieved).toBeLessThanOrEqual(end);
      expect((await aborted) - longestStall).toBeLessThanOrEqual(end);
      expect(signal.reason).toBeInstanceOf(LockLostError);
      expect([lock.held, lock.remainingMs]).toEqual([false, 0]);
      expect(() => lock.assertHeld()).toThrow(LockLostError);

      server.resume();
      // The renewals that lay in the frozen server's socket do not bring the lease back to life.
      expect(await leaseEnd()).toBe(end);
      const next = await other.acquire('held', { wait: '2s' });
      expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
      expect(await lock.release()).toBe(false);
      expect(next.held).toBe(true);
      expect((await other.inspect('held')).holders).toMatchObject([{ owner: next.owner }]);
      await next.release();
      client.disconnect();
    });

    it('who asks meanwhile is told in time, and the late grant of the abandoned question is given back', async () => {
      await Promise.all([engine.ping(), other.ping()]);
      server.pause();
      const startedAt = performance.now();
      await expect(engine.acquire('asked', { wait: 300, ttl: '1m' })).rejects.toThrow(LockBackendError);
      expect(performance.now() - startedAt).toBeLessThan(300 + callTimeout + 500);
      server.resume();
      const lock = await other.acquire('asked', { wait: '5s' });
      expect(lock.held).toBe(true);
      await lock.release();
      expect(await engine.inspect('asked')).toMatchObject({ held: false, waiting: 0 });
    });

    it('who waits meanwhile gets a turn after', async () => {
      const lock = await engine.acquire('awaited', { ttl });
      const turn = other.acquire('awaited', { wait: '20s' });
      await inLine(engine, 'awaited', 1);
      server.pause();
      await once(lock.signal, 'abort');
      server.resume();
      const resumedAt = performance.now();
      const next = await turn;
      expect(performance.now() - resumedAt).toBeLessThan(2_000);
      expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
      expect(next.held).toBe(true);
      await next.release();
    });
  });

  it('killed and restarted without its data: holders are told, waiters are served, tokens still grow', async () => {
    const ttl = 3_000;
    const lock = await engine.acquire('forgotten', { ttl });
    const lost = once(lock.signal, 'abort').then(() => performance.now());
    // Ten wait, half of them in the holder's own process.
    const turns = Array.from({ length: 10 }, async (_, i) => {
      const lock = await (i % 2 ? engine : other).acquire('forgotten', { wait: '20s' });
      const token = lock.fencingToken ?? 0n;
      await lock.release();
      return token;
    });
    await inLine(engine, 'forgotten', 10);

    await server.kill();
    await server.restart({ keepData: false });
    const restartedAt = performance.now();
    expect((await lost) - restartedAt).toBeLessThan(ttl);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', message: expect.stringMatching(/lost/) });
    const tokens = await Promise.all(turns);
    expect(performance.now() - restartedAt).toBeLessThan(ttl + 1_000);
    expect(new Set(tokens).size).toBe(10);
    for (const token of tokens) expect(token).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(await lock.release()).toBe(false);
    expect(await engine.inspect('forgotten')).toMatchObject({ held: false, waiting: 0 });
  });

  it('killed and restarted with its data: the lock survives, and its holder never noticed', async () => {
    const lock = await engine.acquire('kept', { ttl: '5s' });
    const turn = other.acquire('kept', { wait: '20s' });
    await inLine(engine, 'kept', 1);
    await server.kill();
    await server.restart();
    await lock.extend('5s');
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe(true);
    const releasedAt = performance.now();
    const next = await turn;
    expect(performance.now() - releasedAt).toBeLessThan(2_000);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
  });

  it('its scripts are flushed under load, again and again, and nobody notices', async () => {
    const client = new Redis(server.url);
    let flushes = 0;
    let inside = 0;
    let sections = 0;
    const worker = async (engine: LockEngine) => {
      while (flushes < 100) {
        await engine.withLock('flushed', async () => {
          expect(++inside).toBe(1);
          await client.ping();
          sections++;
          inside--;
        });
      }
    };
    const workers = [engine, other, engine, other].map(worker);
    for (; flushes < 100; flushes++) await Promise.all([client.script('FLUSH'), sleep(2)]);
    await Promise.all(workers);
    expect(sections).toBeGreaterThan(20);
    client.disconnect();
  });

  it('goes away under load: who waits fails in time or is served after, and nothing is left of those who gave up', async () => {
    const lock = await engine.acquire('gone', { ttl: '30s' });
    const impatient = other.acquire('gone', { wait: 400 });
    const patient = other.acquire('gone', { wait: '20s' });
    await inLine(engine, 'gone', 2);
    const refusal = impatient.then(
      () => expect.unreachable('nobody released it'),
      (error: unknown) => error,
    );
    await server.kill();
    const startedAt = performance.now();
    expect(await refusal).toMatchObject({ code: expect.stringMatching(/LOCK_BACKEND|LOCK_TIMEOUT/) });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await expect(engine.tryAcquire('else')).rejects.toMatchObject({
      code: 'LOCK_BACKEND',
      message: expect.stringMatching(
        /'else' on 'default' \(redis\): .*nothing ran under the lock.*Check that the server runs/s,
      ),
    });
    await server.restart();
    await eventually('the impatient one is out of the line', async () => (await engine.inspect('gone')).waiting === 1);
    await lock.release();
    await (await patient).release();
    expect(await engine.inspect('gone')).toMatchObject({ held: false, waiting: 0 });
  });
});

describe('When there is no Redis', () => {
  it('a database that the server has not is told of at boot, not taken for the first one', async () => {
    await using server = await startRedis({ own: true });
    const engine = new LockEngine(redis({ url: `${server.url}/99` }));
    await expect(engine.ping()).rejects.toThrow(/could not be reached: ERR DB index is out of range\. Check/);
    await engine.close(0);
    const other = new LockEngine(redis({ url: `${server.url}/1` }));
    await other.ping();
    await other.close(0);
  });

  it('a server that is no cluster is told of, where a cluster is asked for', async () => {
    await using server = await startRedis({ own: true });
    const engine = new LockEngine(redis({ cluster: [{ host: '127.0.0.1', port: server.port }] }));
    await expect(engine.ping()).rejects.toThrow(/ERR This instance has cluster support disabled/);
    await expect(engine.acquire('k', { wait: '100ms' })).rejects.toThrow(/cluster support disabled/);
    await engine.close(0);
  });

  it('at boot, the error says where it was looked for and what to do; once it is there, everything works', async () => {
    await using server = await startRedis({ own: true });
    const { host, port } = server;
    await server.kill();
    const engine = new LockEngine(redis({ host, port }), { name: 'orders' });
    const actionable = { name: 'LockBackendError', code: 'LOCK_BACKEND', backend: 'orders' };
    const text = new RegExp(
      `'orders' \\(redis\\).*ECONNREFUSED 127\\.0\\.0\\.1:${port}.*Check that the server runs`,
      's',
    );

    for (const asked of [
      () => engine.ping(),
      () => engine.tryAcquire('k'),
      () => engine.acquire('k', { wait: 200 }),
      () => engine.withLock('k', () => expect.unreachable('the work must not run'), { wait: 200 }),
      () => engine.inspect('k'),
      () => engine.forceRelease('k'),
    ]) {
      const startedAt = performance.now();
      const error = await asked().then(
        () => expect.unreachable('there is no server'),
        (error: unknown) => error as Error,
      );
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      expect(error).toMatchObject(actionable);
      expect(error.message).toMatch(text);
      expect(error.cause).toBeInstanceOf(Error);
    }

    const waiting = engine.acquire('k', { wait: '20s' });
    await server.restart();
    const lock = await waiting;
    expect(lock.held).toBe(true);
    await lock.release();
    await engine.close(0);
  });
});
