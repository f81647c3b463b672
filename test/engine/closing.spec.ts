import { describe, expect, it } from 'vitest';
import type { LockEvent } from '../../lib/lock/events.js';
import { LockClosedError, LockLostError } from '../../lib/lock/errors.js';
import { Bench, holdAnswers, holdRequests, isSettled, silence } from './support/bench.js';

const TTL = 10_000;

describe('closing', () => {
  it('sends everybody home who waits, refuses new calls, and leaves nothing', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    await other.engine.acquire('key', { ttl: '1h' });
    const waiting = Promise.allSettled(
      Array.from({ length: 10 }, () => one.engine.acquire('key', { ttl: TTL, wait: Infinity })),
    );
    await bench.clock.advance(10);
    await bench.clock.run(one.engine.close());
    for (const outcome of await waiting) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(LockClosedError) as unknown });
    }
    expect(bench.table.inspect('key').waiting).toBe(0);
    expect(one.clock.pending).toBe(0);
    await expect(one.engine.acquire('key')).rejects.toThrow(LockClosedError);
    await expect(one.engine.tryAcquire('free')).rejects.toThrow(
      "'free' was not locked: the application is shutting down, and 'default' takes no new locks.",
    );
  });

  it('work that runs may finish, and is not told to stop', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const done = engine.withLock(
      'key',
      async (lock) => {
        await new Promise<void>((resolve) => void bench.clock.after(3 * TTL, resolve));
        return lock.held;
      },
      { ttl: TTL },
    );
    await bench.clock.advance(100);
    const closed = engine.close(10 * TTL);
    expect(await bench.clock.run(done)).toBe(true);
    await bench.clock.run(closed);
    expect(bench.clock.now()).toBeLessThan(3 * TTL + 100);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('what is still held when the grace is over is released, and whoever works under it is told', async () => {
    const bench = new Bench();
    const { engine, clock } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    const { signal } = lock;
    await bench.clock.run(engine.close(500));
    // The grace, and once more for the work to stop, which is never longer than a second.
    expect(bench.clock.now()).toBeLessThan(1_010);
    expect(bench.isUntouched('key')).toBe(true);
    expect(lock.held).toBe(false);
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBeInstanceOf(LockClosedError);
    expect(() => lock.assertHeld()).toThrow(LockLostError);
    expect(clock.pending).toBe(0);
  });

  it('a minHold is kept to also then, and by a holder that releases when it is told', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    await one.engine.acquire('key', { ttl: TTL, minHold: 5_000 });
    const lock = await one.engine.acquire('other key', { ttl: TTL, minHold: 5_000 });
    lock.signal.addEventListener('abort', () => void lock.release());
    await bench.clock.run(one.engine.close(0));
    expect(await bench.clock.run(other.engine.tryAcquire('key', { ttl: TTL }))).toBeNull();
    expect(await bench.clock.run(other.engine.tryAcquire('other key', { ttl: TTL }))).toBeNull();
  });

  it.each([
    { question: 'attempt', hold: holdAnswers, keys: ['key'] },
    { question: 'attemptAll', hold: holdRequests, keys: ['a', 'b'] },
  ] as const)(
    'waits for calls that are on their way, however short the grace: nothing is asked afterwards ($question)',
    async ({ question, hold, keys }) => {
      const bench = new Bench();
      const { engine, wire, clock, asked } = bench.process();
      const { letThrough } = hold(wire, question);
      const acquiring = engine.acquire(keys, { ttl: TTL });
      acquiring.catch(() => undefined);
      await bench.clock.advance(10);
      const closed = engine.close(0);
      await bench.clock.advance(100);
      expect(await isSettled(closed)).toBe(false);
      letThrough();
      await bench.clock.run(closed);
      await expect(acquiring).rejects.toThrow(LockClosedError);
      for (const key of keys) expect(bench.isUntouched(key)).toBe(true);
      expect(clock.pending).toBe(0);
      const { length } = asked;
      await bench.clock.advance(60_000);
      expect(asked).toHaveLength(length);
    },
  );

  it('waits for a place in line to be given back, also where that takes longer than the waiter was held up', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    await other.engine.acquire('key', { ttl: '1h' });
    const waiting = one.engine.acquire('key', { ttl: TTL, wait: Infinity });
    waiting.catch(() => undefined);
    await bench.clock.advance(10);
    const { letThrough } = holdRequests(one.wire, 'release');
    const closed = one.engine.close(0);
    await bench.clock.advance(600);
    await expect(waiting).rejects.toThrow(LockClosedError);
    expect(await isSettled(closed)).toBe(false);
    letThrough();
    await bench.clock.run(closed);
    expect(bench.table.inspect('key').waiting).toBe(0);
  });

  it('a server that answers nothing holds it up for a few time limits, and afterwards nothing is asked', async () => {
    const bench = new Bench();
    const { engine, wire, clock, asked } = bench.process();
    await engine.acquire('held', { ttl: TTL });
    wire.ask = silence;
    const waiting = engine.acquire('key', { ttl: TTL, wait: Infinity });
    waiting.catch(() => undefined);
    await bench.clock.advance(100);
    await bench.clock.run(engine.close(0));
    expect(bench.clock.now()).toBeLessThan(13_000);
    expect(await isSettled(waiting)).toBe(true);
    const { length } = asked;
    await bench.clock.advance(60_000);
    expect(asked).toHaveLength(length);
    expect(clock.pending).toBe(0);
  });

  it('releases that are not confirmed are repeated before it is closed', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    let failures = 3;
    wire.ask = (question, send) =>
      question === 'release' && failures-- > 0 ? Promise.reject(new Error('reset')) : send();
    void lock.release();
    await bench.clock.run(engine.close(0));
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('is done once: a second call is the same closing', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const closed = engine.close();
    expect(engine.close(0)).toBe(closed);
    await bench.clock.run(closed);
  });

  it('drained, a call asks once and does not wait', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    const held = await other.engine.acquire('key', { ttl: '1h' });
    const waiting = one.engine.acquire('key', { ttl: TTL, wait: Infinity });
    await bench.clock.advance(10);
    one.engine.drain();
    await expect(bench.clock.run(waiting)).rejects.toThrow(LockClosedError);
    await expect(bench.clock.run(one.engine.acquire('key', { ttl: TTL, wait: Infinity }))).rejects.toThrow(
      LockClosedError,
    );
    expect((await one.engine.acquire('free', { ttl: TTL })).held).toBe(true);
    await held.release();
    expect((await one.engine.acquire('key', { ttl: TTL })).held).toBe(true);
  });

  it('a lock that is granted while it closes is given back', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdRequests(wire, 'attempt');
    const acquiring = engine.acquire('key', { ttl: TTL });
    acquiring.catch(() => undefined);
    await bench.clock.advance(10);
    const closed = engine.close();
    letThrough();
    await bench.clock.run(closed);
    await expect(acquiring).rejects.toThrow(LockClosedError);
    expect(bench.isUntouched('key')).toBe(true);
  });

  describe.each(['abort', 'finish'] as const)("onShutdown: '%s'", (onShutdown) => {
    it('tells the work in its time, and waits for it with the lock held', async () => {
      const bench = new Bench();
      const { engine, clock } = bench.process();
      const events: LockEvent[] = [];
      engine.listen((event) => void events.push(event));
      let toldAt: number | undefined;
      const done = engine.withLock(
        'key',
        async ({ signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          toldAt = bench.clock.now();
          expect(signal.reason).toBeInstanceOf(LockClosedError);
          // It writes down how far it came.
          await new Promise<void>((resolve) => void bench.clock.after(300, resolve));
          return bench.table.inspect('key').holders.length;
        },
        { ttl: TTL, onShutdown },
      );
      await bench.clock.advance(100);
      const begun = engine.shutDown(5_000);
      engine.drain();
      await bench.clock.run(begun);
      await bench.clock.run(engine.close(5_000));
      expect(await bench.clock.run(done)).toBe(1);
      expect(toldAt).toBe(onShutdown === 'abort' ? 100 : 5_100);
      expect(bench.clock.now()).toBeLessThan(toldAt! + 400);
      expect(events.at(-1)).toMatchObject({ type: 'released', key: 'key', reasonCode: 'shutdown' });
      expect(events.filter(({ type }) => type === 'lost')).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('work that does not listen is cut, and its caller is told that the lock was lost', async () => {
      const bench = new Bench();
      const { engine } = bench.process();
      const events: LockEvent[] = [];
      engine.listen((event) => void events.push(event));
      const done = engine.withLock(
        'key',
        () => new Promise<void>((resolve) => void bench.clock.after(60_000, resolve)),
        {
          ttl: TTL,
          onShutdown,
        },
      );
      const failed = done.catch((error: unknown) => error);
      await bench.clock.advance(100);
      await bench.clock.run(engine.close(5_000));
      expect(bench.isUntouched('key')).toBe(true);
      expect(events.at(-1)).toMatchObject({ type: 'released', reasonCode: 'shutdown' });
      expect(await bench.clock.run(failed)).toMatchObject({ code: 'LOCK_LOST', reasonCode: 'shutdown' });
    });
  });

  it('work that begins during the shutdown is told as all other work is', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.shutDown(5_000);
    engine.drain();
    const early = await engine.acquire('a', { ttl: TTL, onShutdown: 'abort' });
    const late = await engine.acquire('b', { ttl: TTL });
    expect([early.signal.aborted, early.held, late.signal.aborted]).toEqual([true, true, false]);
    await bench.clock.advance(5_001);
    expect([late.signal.aborted, late.held]).toEqual([true, true]);
    await early.release();
    await late.release();
    await bench.clock.run(engine.close(5_000));
  });

  it('says afterwards which locks stay on the server because their release was not confirmed, and why', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process({ callTimeout: 500 });
    const [kept, released] = [await engine.acquire('kept'), await engine.acquire('released')];
    expect(await released.release()).toBe(true);
    expect(kept.held).toBe(true);
    wire.ask = (question, send) =>
      question === 'release' ? Promise.reject(new Error('the client was closed')) : send();
    await bench.clock.run(engine.close(0));
    expect(engine.leftBehind).toEqual([{ key: 'kept', error: new Error('the client was closed') }]);
  });

  it('nothing is left behind when a repeated release was confirmed', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process({ callTimeout: 500 });
    await engine.acquire('key');
    let failures = 2;
    wire.ask = (question, send) =>
      question === 'release' && failures-- > 0 ? Promise.reject(new Error('a hiccup')) : send();
    await bench.clock.run(engine.close(0));
    expect(engine.leftBehind).toEqual([]);
    expect(bench.isUntouched('key')).toBe(true);
  });
});
