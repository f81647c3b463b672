import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { inLine } from './support/in-pod.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

/** The longest a single call is waited for: the default of `callTimeout`. */
const callTimeout = 2_000;

describe.each(sqlKinds)('When $name itself fails', ({ start }) => {
  let server: SqlServer;
  let engine: LockEngine;
  let other: LockEngine;

  beforeAll(async () => {
    server = await start();
  });
  beforeEach(async () => {
    engine = new LockEngine(server.backend());
    other = new LockEngine(server.backend());
    await Promise.all([engine.ping(), other.ping()]);
  });
  afterEach(() => Promise.all([engine.close(0), other.close(0)]));
  afterAll(() => server.stop());

  it('frozen for longer than a lease: the holder is told before that ends on the server, and everything goes on after', async () => {
    const ttl = 1_500;
    const lock = await engine.acquire('held', { ttl });
    const first = await server.leaseEnd('held');
    const end = await eventually('a renewal', async () => {
      const renewed = await server.leaseEnd('held');
      return renewed !== undefined && renewed > (first ?? 0) && renewed;
    });
    server.pause();
    // The server's clock is the one of this machine.
    let lastBelieved = 0;
    for (let looks = Date.now(); looks < end + 100; looks = Date.now()) {
      if (lock.held || !lock.signal.aborted) lastBelieved = looks;
      await new Promise(setImmediate);
    }
    expect(lastBelieved).toBeLessThanOrEqual(end);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.held).toBe(false);

    server.resume();
    const next = await other.acquire('held', { wait: '10s' });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    // Nor do the renewals that lay in the frozen server's socket take it back.
    expect(await lock.release()).toBe(false);
    expect((await other.inspect('held')).holders).toMatchObject([{ owner: next.owner }]);
    await next.release();
  });

  it('frozen: who asks is told in time, and the late grant of the abandoned question is given back', async () => {
    server.pause();
    const startedAt = performance.now();
    await expect(engine.acquire('asked', { wait: 300, ttl: '1m' })).rejects.toThrow(LockBackendError);
    expect(performance.now() - startedAt).toBeLessThan(300 + callTimeout + 500);
    server.resume();
    const lock = await other.acquire('asked', { wait: '10s' });
    await lock.release();
    await eventually('nothing is left', async () => {
      const { held, waiting } = await other.inspect('asked');
      return !held && waiting === 0;
    });
  });

  it('frozen: who waits gets a turn after', async () => {
    const lock = await engine.acquire('awaited', { ttl: 1_000 });
    const turn = other.acquire('awaited', { wait: '20s' });
    await inLine(engine, 'awaited', 1);
    server.pause();
    await once(lock.signal, 'abort');
    server.resume();
    const next = await turn;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(next.held).toBe(true);
    await next.release();
  });

  it('killed and started again: the lock survives, its holder never notices, and the waiter is served by push', async () => {
    const lock = await engine.acquire('kept', { ttl: '20s' });
    const turn = other.acquire('kept', { wait: '20s' });
    await inLine(engine, 'kept', 1);
    await eventually('it can be reached', async () => (await server.reachable()) === 1);
    await server.kill();
    await server.restart();
    await lock.extend('20s');
    expect(lock.held).toBe(true);
    await eventually('it can be reached again', async () => (await server.reachable()) === 1);
    expect(await lock.release()).toBe(true);
    const next = await turn;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
  });

  it('goes away under load: who waits is told or served after, and nothing is left of those who gave up', async () => {
    const lock = await engine.acquire('gone', { ttl: '30s' });
    const impatient = other.acquire('gone', { wait: 400 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const patient = other.acquire('gone', { wait: '20s' });
    await inLine(engine, 'gone', 2);
    await server.kill();
    expect(await impatient).toMatchObject({ code: expect.stringMatching(/LOCK_BACKEND|LOCK_TIMEOUT/) });
    await expect(engine.tryAcquire('else')).rejects.toMatchObject({ code: 'LOCK_BACKEND' });
    await server.restart();
    await eventually('the impatient one is out of the line', async () => (await engine.inspect('gone')).waiting === 1);
    await lock.release();
    await (await patient).release();
    expect(await engine.inspect('gone')).toMatchObject({ held: false, waiting: 0 });
  });
});
