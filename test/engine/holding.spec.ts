import { describe, expect, it } from 'vitest';
import type { WithLockOptions } from '../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import type { Lock } from '../../lib/lock/lock.js';
import { believedUntil } from '../../lib/engine/leases/validity.js';
import { Bench, holdAnswers, holdRequests, isSettled, silence } from './support/bench.js';

const TTL = 10_000;

describe('a lock that is held', () => {
  it('is kept by the watch-dog for as long as it is not released, at three calls a lease', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(100 * TTL);
    expect(lock.held).toBe(true);
    expect(asked.length).toBeLessThan(320);
  });

  it('hundreds of locks are renewed in a few calls', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    for (let i = 0; i < 500; i++) await engine.acquire(`key ${i}`, { ttl: TTL });
    const before = asked.length;
    await bench.clock.advance(TTL);
    expect(asked.length - before).toBeLessThanOrEqual(3 * 5);
  });

  it('keeps no process alive: only a pending acquire does', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const foreground: number[] = [];
    const { after } = clock;
    clock.after = (ms, run, background) => {
      if (!background) foreground.push(ms);
      return after.call(clock, ms, run, background);
    };
    await engine.acquire('key', { ttl: TTL, maxHold: '1h' });
    foreground.length = 0;
    await bench.clock.advance(1_000);
    expect(foreground).toEqual([]);
  });

  it('is released once; later calls give the same promise, and then nothing of it is left', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    const released = lock.release();
    expect(lock.release()).toBe(released);
    expect(lock.held).toBe(false);
    expect(await released).toBe(true);
    expect(bench.table.size).toBe(0);
    await bench.clock.advance(TTL);
    expect(clock.pending).toBe(0);
  });

  it('the same when the release tells of a loss, and whoever is told releases', async () => {
    const bench = new Bench();
    const { engine, clock, asked } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    let first: Promise<boolean> | undefined;
    lock.signal.addEventListener('abort', () => void (first = lock.release()));
    clock.freeze();
    await bench.clock.advance(TTL);
    const released = lock.release();
    expect(released).toBe(first);
    clock.thaw();
    expect(await bench.clock.run(released)).toBe(false);
    expect(asked.filter(({ question }) => question === 'release')).toHaveLength(1);
  });

  it('a release awaits the renewal that is on its way, so that this cannot bring the lock back', async () => {
    const bench = new Bench();
    const { engine, wire, asked } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    const { letThrough } = holdAnswers(wire, 'renew');
    await bench.clock.advance(TTL / 3);
    const released = lock.release();
    await bench.clock.advance(100);
    expect(asked.map(({ question }) => question)).toEqual(['attempt', 'renew']);
    letThrough();
    await bench.clock.run(released);
    expect(asked.map(({ question }) => question)).toEqual(['attempt', 'renew', 'release']);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('a release that is not confirmed is still a release: it comes out in time, and is repeated in the background', async () => {
    const bench = new Bench();
    const { engine, wire, events } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = silence;
    expect(await bench.clock.run(lock.release())).toBe(true);
    expect(bench.clock.now()).toBeLessThanOrEqual(2_100);
    expect(events.map(({ type }) => type)).toEqual(['acquired', 'release-unknown', 'released']);
    wire.heal();
    await bench.clock.advance(2_100);
    expect(bench.isUntouched('key')).toBe(true);
  });
});

describe('the loss of a lock', () => {
  it('a slow clock does not have it believed in when the server gives it to the next', async () => {
    const bench = new Bench();
    const [slow, other] = [bench.process({ rate: 0.995 }), bench.process()];
    const lock = await slow.engine.acquire('key', { ttl: TTL });
    slow.wire.freeze();
    let next: Lock | null = null;
    while (!next) {
      await bench.clock.advance(1);
      next = await other.engine.tryAcquire('key', { ttl: TTL });
    }
    expect(bench.clock.now()).toBeLessThan(TTL / 0.995);
    expect(lock.held).toBe(false);
  });

  it('is told by the signal before the lease can end on the server', async () => {
    const bench = new Bench();
    const { engine, wire, events } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = silence;
    const lost = new Promise<unknown>((resolve) =>
      lock.signal.addEventListener('abort', () => resolve(lock.signal.reason)),
    );
    const reason = await bench.clock.run(lost);
    expect(reason).toBeInstanceOf(LockLostError);
    expect(bench.holders('key')).toEqual([lock.owner]);
    expect(bench.clock.now()).toBe(believedUntil(0, TTL));
    expect(lock.held).toBe(false);
    expect(events.filter(({ type }) => type === 'lost')).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'renewal-failed').length).toBeGreaterThan(2);
  });

  it('after a stall `held` is false at the first look, before any timer ran, and the loss is told once', async () => {
    const bench = new Bench();
    const { engine, clock, events } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    clock.freeze();
    await bench.clock.advance(TTL);
    expect(lock.held).toBe(false);
    expect(lock.remainingMs).toBe(0);
    expect(() => lock.assertHeld()).toThrow(LockLostError);
    clock.thaw();
    await bench.clock.advance(TTL);
    expect(events.filter(({ type }) => type === 'lost')).toHaveLength(1);
  });

  it('after a stall `signal.aborted` is true at the first look, also on a signal that was handed on before', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    const { signal } = lock;
    expect(signal.aborted).toBe(false);
    clock.freeze();
    await bench.clock.advance(TTL);
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBeInstanceOf(LockLostError);
    expect(() => signal.throwIfAborted()).toThrow(LockLostError);
  });

  it('a signal that is asked for only after the loss is aborted', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = silence;
    await bench.clock.advance(TTL);
    expect(lock.signal.aborted).toBe(true);
  });

  it('a lock that was taken away by force is told at once, where the server says so', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    const lock = await one.engine.acquire('key', { ttl: TTL });
    expect(await other.engine.forceRelease('key')).toBe(true);
    expect(lock.held).toBe(false);
    expect(await lock.release()).toBe(false);
  });

  it('one that the server has forgotten is told at the next renewal', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    bench.table.victims.clear();
    bench.table.forceRelease('key');
    await bench.clock.advance(TTL / 3);
    expect(lock.held).toBe(false);
  });

  it('a lost lock is still released: what the server may have of it goes', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = silence;
    await bench.clock.advance(believedUntil(0, TTL) + 1);
    wire.heal();
    expect(lock.held).toBe(false);
    expect(bench.holders('key')).toEqual([lock.owner]);
    expect(await lock.release()).toBe(false);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('without the watch-dog the lock ends with its lease', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, renew: false });
    await bench.clock.advance(believedUntil(0, TTL) - 1);
    expect(lock.held).toBe(true);
    await bench.clock.advance(1);
    expect(lock.signal.aborted).toBe(true);
    expect(asked).toHaveLength(1);
  });
});

describe('maxHold and minHold', () => {
  it('at its maxHold a lock is let go of on the server, the signal aborts, and the next one comes in, whatever the work does', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    const other = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, maxHold: 25_000 });
    const next = other.engine.acquire('key', { wait: '1m' });
    await bench.clock.advance(24_999);
    expect(lock.held).toBe(true);
    expect(await isSettled(next)).toBe(false);
    await bench.clock.advance(1);
    expect(lock.signal.aborted).toBe(true);
    expect((lock.signal.reason as Error).message).toContain('`maxHold` of 25000 ms');
    expect(await isSettled(next)).toBe(true);
    expect(await lock.release()).toBe(false);
    await (await next).release();
    const { length } = asked;
    await bench.clock.advance(TTL);
    expect(asked).toHaveLength(length);
  });

  it('maxHold is held to at the first look after a stall', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, maxHold: 2_000 });
    clock.freeze();
    await bench.clock.advance(2_500);
    expect(lock.held).toBe(false);
  });

  it('a lock that is released before its maxHold leaves no timer', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, maxHold: '1h' });
    await lock.release();
    await bench.clock.advance(TTL);
    expect(clock.pending).toBe(0);
  });

  it('minHold keeps the key closed after an early release, and the server does it: no timer, no process', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    const lock = await one.engine.acquire('key', { ttl: TTL, minHold: 5_000 });
    await bench.clock.advance(1_000);
    expect(await lock.release()).toBe(true);
    await bench.clock.run(one.engine.close());
    expect(one.clock.pending).toBe(0);
    expect(await bench.clock.run(other.engine.tryAcquire('key', { ttl: TTL }))).toBeNull();
    const next = await bench.clock.run(other.engine.acquire('key', { ttl: TTL }));
    expect(next.held).toBe(true);
    expect(bench.clock.now()).toBeGreaterThanOrEqual(5_000);
    expect(bench.clock.now()).toBeLessThan(6_010);
  });

  it('minHold of a lock that was lost keeps nothing closed: the key may be another one’s by now', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, minHold: '1h' });
    wire.ask = silence;
    await bench.clock.advance(believedUntil(0, TTL) + 1);
    wire.heal();
    expect(await lock.release()).toBe(false);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('minHold that has passed costs nothing', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, minHold: 500 });
    await bench.clock.advance(500);
    await lock.release();
    expect(bench.isUntouched('key')).toBe(true);
  });
});

describe('extend and downgrade', () => {
  it('extend renews now, and to the new length from here on', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    await lock.extend('1m');
    expect(lock.remainingMs).toBe(believedUntil(0, 60_000));
    const { length } = asked;
    await bench.clock.advance(10 * 60_000);
    expect(lock.held).toBe(true);
    expect(asked.length - length).toBeLessThan(40);
  });

  it('extend without a length is to that of the lock', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const lock = await engine.acquire('key', { ttl: '1m' });
    await bench.clock.advance(5_000);
    await lock.extend();
    expect(lock.remainingMs).toBe(believedUntil(0, 60_000));
  });

  it('extend of a lost lock says so, and of a silent server that the lock is held on', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = silence;
    await expect(bench.clock.run(lock.extend(TTL))).rejects.toThrow(LockBackendError);
    expect(lock.held).toBe(true);
    await bench.clock.advance(TTL);
    await expect(lock.extend(TTL)).rejects.toThrow(LockLostError);
  });

  it('a lease that is extended to less is not believed for longer than the server keeps it', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    await lock.extend(1_000);
    wire.ask = silence;
    await believedWhileKept(bench, lock, TTL);
  });

  it('an old renewal that arrives after an extension does not shorten what is believed', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: 1_000 });
    const { letThrough } = holdRequests(wire, 'renew');
    await bench.clock.advance(350);
    wire.heal();
    await bench.clock.run(lock.extend('1m'));
    letThrough();
    await bench.clock.advance(10);
    wire.ask = silence;
    await believedWhileKept(bench, lock, 60_000);
  });

  it('an extension that is not confirmed changes nothing in what a renewal before it was sent for', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: 6_000 });
    const { letThrough } = holdAnswers(wire, 'renew');
    await bench.clock.advance(2_010);
    const extended = lock.extend('1m').catch((error: unknown) => error);
    letThrough();
    wire.ask = silence;
    expect(await bench.clock.run(extended)).toBeInstanceOf(LockBackendError);
    await believedWhileKept(bench, lock, 60_000);
  });

  it.each([{ lengths: ['10m'] as const }, { lengths: ['10m', 1_000] as const }])(
    'a release that is not confirmed is repeated for as long as the lease would last that was extended to $lengths',
    async ({ lengths }) => {
      const bench = new Bench();
      const { engine, wire } = bench.process();
      const lock = await engine.acquire('key', { ttl: 1_000 });
      for (const length of lengths) await lock.extend(length);
      wire.ask = silence;
      await bench.clock.run(lock.release());
      await bench.clock.advance(60_000);
      wire.heal();
      await bench.clock.advance(5_000);
      expect(bench.isUntouched('key')).toBe(true);
    },
  );

  /** Whenever the holder believes in it, the server has it. */
  async function believedWhileKept(bench: Bench, lock: Lock, atMost: number): Promise<void> {
    for (let passed = 0; lock.held && passed < atMost; passed += 100) {
      expect(bench.holders('key')).toEqual([lock.owner]);
      await bench.clock.advance(100);
    }
  }

  it('downgrade lets readers in, and the lock is renewed on', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    const lock = await one.engine.acquire('key', { ttl: TTL });
    const reader = other.engine.acquire('key', { ttl: TTL, mode: 'shared', wait: Infinity });
    await bench.clock.advance(10);
    await lock.downgrade();
    expect(lock.mode).toBe('shared');
    expect((await bench.clock.run(reader)).held).toBe(true);
    await bench.clock.advance(3 * TTL);
    expect(lock.held).toBe(true);
  });

  it('a downgrade that is not answered ends with the time limit of a call, and the lock may be either', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    wire.ask = (question, send) => (question === 'downgrade' ? silence() : send());
    const failed = bench.clock.run(lock.downgrade(), TTL);
    await expect(failed).rejects.toThrow(LockBackendError);
    await expect(failed).rejects.toThrow(
      /It may be either, and counts as shared from now on; call downgrade\(\) again, or release\./,
    );
    expect(lock.held).toBe(true);
  });
});

describe('withLock', () => {
  const boom = new Error('the work failed');

  it("the work's own error comes out, whatever became of the lock", async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    await expect(engine.withLock('a', () => Promise.reject(boom), { ttl: TTL })).rejects.toBe(boom);
    const lost = engine.withLock('b', () => loseAnd(() => Promise.reject(boom)), { ttl: TTL });
    await expect(bench.clock.run(lost)).rejects.toBe(boom);

    async function loseAnd(end: () => Promise<never>): Promise<never> {
      wire.ask = silence;
      await new Promise<void>((resolve) => void bench.clock.after(TTL, resolve));
      wire.heal();
      return end();
    }
  });

  it('work that succeeded under a lock that was lost meanwhile fails with LockLostError', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const done = engine.withLock(
      'key',
      async () => {
        wire.ask = silence;
        await new Promise<void>((resolve) => void bench.clock.after(TTL, resolve));
        wire.heal();
        return 'done';
      },
      { ttl: TTL },
    );
    await expect(bench.clock.run(done)).rejects.toThrow(LockLostError);
  });

  it('a re-entry that cannot be says which key on which backend', async () => {
    const bench = new Bench();
    const { engine } = bench.process({ name: 'orders' });
    const told = { code: 'LOCK_CONFIG', key: 'key', backend: 'orders' };
    const again = (options: WithLockOptions) => () => engine.withLock('key', () => 'done', options);
    await expect(bench.clock.run(engine.withLock('key', again({}), { mode: 'shared' }))).rejects.toMatchObject(told);
    await expect(bench.clock.run(engine.withLock('key', again({ limit: 2 })))).rejects.toMatchObject(told);
  });

  it('an unconfirmed release does not fail work that succeeded', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const done = engine.withLock(
      'key',
      async () => {
        wire.ask = silence;
        return 'done';
      },
      { ttl: TTL },
    );
    expect(await bench.clock.run(done)).toBe('done');
  });

  it('gives the work the lock it runs under', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const seen: Lock[] = [];
    expect(await engine.withLock(['b', 'a'], (lock) => seen.push(lock), { ttl: TTL })).toBe(1);
    expect(seen[0]?.keys).toEqual(['a', 'b']);
    expect(seen[0]?.held).toBe(false);
    expect(await isSettled(seen[0]!.release())).toBe(true);
  });
});
