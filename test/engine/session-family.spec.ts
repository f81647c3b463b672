import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import { Lease, type LeaseListener } from '../../lib/engine/leases/lease.js';
import { SessionServer } from '../simulation/session-server.js';
import { Bench, holdAnswers, holdRequests, isSettled, silence } from './support/bench.js';

const TTL = 10_000;

/** A server of the second family, where many locks hang from one lease. */
function servers() {
  const bench = new Bench();
  const server = new SessionServer(bench.table, () => bench.clock.now());
  return {
    bench,
    server,
    process: (options = {}) =>
      bench.process({ server: server.backend({ attemptAll: false, attached: false }), ...options }),
  };
}

describe('locks that hang from a session', () => {
  it('share one session for each length of lease, whose renewal is one call', async () => {
    const { bench, server, process } = servers();
    const { engine, asked } = process();
    const locks = [];
    for (let i = 0; i < 100; i++) locks.push(await engine.acquire(`key ${i}`, { ttl: TTL }));
    await engine.acquire('another length', { ttl: 2 * TTL });
    expect(server.size).toBe(2);
    const before = asked.length;
    await bench.clock.advance(10 * TTL);
    expect(locks.every((lock) => lock.held)).toBe(true);
    expect(asked.length - before).toBeLessThan(60);
  });

  it('a burst opens one session, not one each', async () => {
    const { bench, server, process } = servers();
    const { engine } = process();
    await bench.clock.run(Promise.all(Array.from({ length: 50 }, (_, i) => engine.acquire(`key ${i}`, { ttl: TTL }))));
    expect(server.size).toBe(1);
  });

  it('one that is released leaves the others as they are', async () => {
    const { bench, process } = servers();
    const { engine } = process();
    const [one, other] = [await engine.acquire('one', { ttl: TTL }), await engine.acquire('other', { ttl: TTL })];
    expect(await one.release()).toBe(true);
    expect(bench.isUntouched('one')).toBe(true);
    await bench.clock.advance(3 * TTL);
    expect(other.held).toBe(true);
  });

  it('are all lost with it, before it can end on the server', async () => {
    const { bench, server, process } = servers();
    const { engine, wire, events } = process();
    const locks = [await engine.acquire('a', { ttl: TTL }), await engine.acquire('b', { ttl: TTL })];
    wire.ask = silence;
    const told = Promise.all(
      locks.map(({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve))),
    );
    await bench.clock.run(told);
    expect(server.size).toBe(1);
    expect(bench.holders('a')).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'lost')).toHaveLength(2);
    for (const lock of locks) expect(lock.signal.reason).toBeInstanceOf(LockLostError);
  });

  it('a session that the server has forgotten is noticed by any verb, and the next lock gets a new one', async () => {
    const { bench, server, process } = servers();
    const { engine, wire } = process();
    const lock = await engine.acquire('a', { ttl: TTL });
    // The renewals of the session get lost, and it ends there.
    wire.ask = (question, send) => (question === 'renew' ? silence() : send());
    await bench.clock.advance(TTL / 2);
    server.forget();
    const next = await bench.clock.run(engine.acquire('b', { ttl: TTL, wait: 1_000 }));
    expect(next.held).toBe(true);
    expect(lock.held).toBe(false);
    expect(await lock.release()).toBe(false);
  });

  it('a session that could not be opened is tried again by the next lock', async () => {
    const { bench, process } = servers();
    const { engine, wire } = process();
    wire.ask = () => Promise.reject(new Error('connection refused'));
    await expect(bench.clock.run(engine.acquire('a', { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    wire.heal();
    expect((await engine.acquire('a', { ttl: TTL })).held).toBe(true);
  });

  it('a session that opens only after it was given up is ended, for nobody would keep it', async () => {
    const { bench, server, process } = servers();
    const { engine, wire } = process();
    const { letThrough } = holdAnswers(wire, 'open');
    await expect(bench.clock.run(engine.acquire('a', { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    await bench.clock.advance(10);
    letThrough();
    await bench.clock.advance(10);
    expect(server.size).toBe(0);
  });

  it('a lease that the server made shorter than it was asked for is believed for that long only', async () => {
    const { bench, process } = servers();
    const { engine, wire } = process();
    // The model keeps time in steps of 50 ms.
    const lock = await engine.acquire('a', { ttl: 945 });
    wire.ask = silence;
    await bench.clock.advance(889);
    expect(lock.signal.aborted).toBe(true);
    expect(bench.holders('a')).toHaveLength(1);
  });

  it('waiters of a session that ended stand in line again with a new one', async () => {
    const { bench, server, process } = servers();
    const [one, other] = [process(), process()];
    const held = await one.engine.acquire('key', { ttl: 6 * TTL });
    const waiting = other.engine.acquire('key', { ttl: TTL, wait: Infinity });
    await bench.clock.advance(1_000);
    other.wire.ask = silence;
    await bench.clock.advance(2 * TTL);
    other.wire.heal();
    server.sweep();
    await bench.clock.advance(3_000);
    expect(bench.table.inspect('key').waiting).toBe(1);
    void held.release();
    expect((await bench.clock.run(waiting)).held).toBe(true);
  });

  it('a grant that was made in an earlier session is not believed under a later one', async () => {
    const { bench, server, process } = servers();
    const [one, other] = [process(), process()];
    const held = await one.engine.acquire('key', { ttl: 6 * TTL });
    const waiting = other.engine.acquire('key', { ttl: TTL, wait: Infinity });
    await bench.clock.advance(1_000);
    const behind = one.engine.acquire('key', { ttl: 6 * TTL, wait: Infinity });
    // Its session is renewed there, and it does not hear of it: here it is over long before.
    other.wire.ask = async (question, send) => {
      const answer = await send();
      return question === 'renew' ? silence() : answer;
    };
    await bench.clock.advance(TTL + 1_500);
    other.wire.heal();
    expect(server.size).toBe(3);
    expect(bench.table.inspect('key').waiting).toBe(3);
    // Its place by the first session is served, and with that session it is gone.
    void held.release();
    const next = await bench.clock.run(behind);
    expect(next.held).toBe(true);
    expect(await isSettled(waiting)).toBe(false);
    void next.release();
    expect((await bench.clock.run(waiting)).held).toBe(true);
    expect(bench.holders('key')).toHaveLength(1);
  });

  it('a wait that is given up while a new session is opened for it is not continued in that', async () => {
    const { bench, process } = servers();
    const [one, other] = [process(), process()];
    await one.engine.acquire('key', { ttl: 6 * TTL });
    const patience = new AbortController();
    const waiting = other.engine.acquire('key', { ttl: TTL, wait: Infinity, signal: patience.signal });
    await bench.clock.advance(1_000);
    // Its session gets lost; the next one is long in coming, and so is the answer to the withdrawal from the first.
    let open: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => (open = resolve));
    other.wire.ask = async (question, send) => {
      if (question === 'renew' || question === 'release') return silence();
      if (question === 'open') await opening;
      return send();
    };
    await bench.clock.advance(TTL);
    patience.abort();
    await expect(bench.clock.run(waiting)).rejects.toBe(patience.signal.reason);
    const { length } = other.asked;
    open();
    await bench.clock.advance(1_000);
    expect(other.asked.slice(length).map(({ question }) => question)).not.toContain('attempt');
  });

  it('a refusal that comes after a later question was granted does not make the lock be forgotten', async () => {
    const { bench, process } = servers();
    const [one, other] = [process(), process()];
    const semaphore = await one.engine.acquire('key', { ttl: TTL, limit: 3 });
    await other.engine.acquire('opens the session', { ttl: TTL });
    const { letThrough } = holdAnswers(other.wire, 'attempt');
    const acquired = other.engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1_900);
    await semaphore.release();
    other.wire.heal();
    const lock = await bench.clock.run(acquired);
    letThrough();
    await bench.clock.advance(10);
    expect(await bench.clock.run(lock.release())).toBe(true);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('a late answer during the release lets go once more, and not ahead of it', async () => {
    const { bench, process } = servers();
    const { engine, wire, asked, events } = process();
    await engine.acquire('opens the session', { ttl: TTL });
    const answers = holdAnswers(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1_900);
    // The next question is answered, and the first one still is not.
    wire.heal();
    const lock = await bench.clock.run(acquired);
    const releases = holdRequests(wire, 'release');
    const released = lock.release();
    wire.heal();
    answers.letThrough();
    await bench.clock.advance(10);
    releases.letThrough();
    expect(await bench.clock.run(released)).toBe(true);
    expect(events.filter(({ type }) => type === 'lost')).toEqual([]);
    await bench.clock.advance(10);
    expect(asked.filter(({ question }) => question === 'release')).toHaveLength(2);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('one that was held for its longest time is let go of also when the first request for that got lost', async () => {
    const { bench, process } = servers();
    const { engine, wire, asked } = process();
    const lock = await engine.acquire('key', { ttl: TTL, maxHold: 2_000 });
    let isLost = true;
    wire.ask = (question, send) => (question === 'release' && isLost ? silence() : send());
    await bench.clock.advance(2_500);
    isLost = false;
    expect(lock.signal.aborted).toBe(true);
    expect(bench.holders('key')).toHaveLength(1);
    await bench.clock.advance(5_000);
    expect(bench.isUntouched('key')).toBe(true);
    // Confirmed, it is not asked for again, though the session lives on.
    const { length } = asked;
    await bench.clock.advance(2 * TTL);
    expect(asked.slice(length).map(({ question }) => question)).not.toContain('release');
  });

  it('one that is not renewed and ran out by itself leaves nothing on its session', async () => {
    const { bench, process } = servers();
    const { engine } = process();
    await engine.acquire('keeps the session', { ttl: TTL });
    const listening = new Set<LeaseListener>();
    const { listen, unlisten } = Lease.prototype;
    vi.spyOn(Lease.prototype, 'listen').mockImplementation(function (this: Lease, listener) {
      if (listener instanceof Lease) listening.add(listener);
      listen.call(this, listener);
    });
    vi.spyOn(Lease.prototype, 'unlisten').mockImplementation(function (this: Lease, listener) {
      listening.delete(listener);
      unlisten.call(this, listener);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    await engine.acquire('key', { ttl: TTL, renew: false });
    expect(listening.size).toBe(1);
    await bench.clock.advance(TTL);
    expect(bench.isUntouched('key')).toBe(true);
    expect(listening.size).toBe(0);
  });

  it('a renewal that fails says why', async () => {
    const { bench, process } = servers();
    const { engine, wire, events } = process();
    await engine.acquire('key', { ttl: TTL });
    wire.ask = (question, send) => (question === 'renew' ? Promise.reject(new Error('the member is on fire')) : send());
    await bench.clock.advance(TTL / 2);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'renewal-failed',
        error: expect.objectContaining({ message: 'the member is on fire' }),
      }),
    );
  });

  it('lengths that differ by little share a session, and none is shorter than was asked for', async () => {
    const { bench, server, process } = servers();
    const { engine } = process();
    const locks = await bench.clock.run(
      Promise.all(Array.from({ length: 1_000 }, (_, i) => engine.acquire(`key ${i}`, { ttl: 10_000 + 2 * i }))),
    );
    expect(server.size).toBeLessThanOrEqual(5);
    for (const [i, { remainingMs }] of locks.entries()) expect(remainingMs).toBeGreaterThan((10_000 + 2 * i) * 0.98);
    const round = [1_000, 1_500, 2_000, 5_000, 15_000, 60_000, 90_000];
    for (const ttl of round) {
      const lock = await bench.clock.run(engine.acquire(`round ${ttl}`, { ttl }));
      expect(lock.remainingMs).toBeLessThanOrEqual(ttl);
    }
  });

  it('many that were removed by hand are told with the next renewal, by the answer to one question', async () => {
    const bench = new Bench();
    const server = new SessionServer(bench.table, () => bench.clock.now());
    const { engine, wire, asked } = bench.process({ server: server.backend({ attemptAll: false }) });
    const locks = await bench.clock.run(
      Promise.all(Array.from({ length: 1_000 }, (_, i) => engine.acquire(`key ${i}`, { ttl: TTL }))),
    );
    // The process does not hear of it.
    wire.push = () => undefined;
    const { engine: other } = bench.process({ server: server.backend({ attemptAll: false }) });
    await Promise.all(Array.from({ length: 999 }, (_, i) => other.forceRelease(`key ${i}`)));
    const { length } = asked;
    await bench.clock.advance(TTL / 3);
    expect(locks.filter(({ held }) => held)).toEqual([locks.at(-1)]);
    expect(asked.slice(length).filter(({ question }) => question !== 'renew')).toEqual([
      expect.objectContaining({ question: 'attached' }),
    ]);
  });

  it('a session takes only so many, where the server says so; the room in it is used again', async () => {
    const bench = new Bench();
    const server = new SessionServer(bench.table, () => bench.clock.now());
    const backend = Object.assign(server.backend({ attemptAll: false }), { perSession: 100 });
    const { engine } = bench.process({ server: backend });
    const take = (name: string, count: number) =>
      bench.clock.run(
        Promise.all(Array.from({ length: count }, (_, i) => engine.acquire(`${name} ${i}`, { ttl: TTL }))),
      );
    const locks = [];
    for (let round = 0; round < 25; round++) locks.push(...(await take(`round ${round}`, 10)));
    expect(server.size).toBe(3);
    await Promise.all(locks.slice(0, 50).map((lock) => lock.release()));
    await take('in the last one', 50);
    await take('in the first one', 50);
    expect(server.size).toBe(3);
    await take('in a new one', 1);
    expect(server.size).toBe(4);
    await bench.clock.advance(3 * TTL);
    expect(locks.slice(50).every(({ held }) => held)).toBe(true);
    await bench.clock.run(engine.close(0));
    expect([server.size, bench.table.size]).toEqual([0, 0]);
  });

  it('extending a lock of several keys, or several locks at once, renews their session once', async () => {
    const bench = new Bench();
    const server = new SessionServer(bench.table, () => bench.clock.now());
    const { engine, asked } = bench.process({ server: server.backend({ attemptAll: false }) });
    const one = await engine.acquire(['a', 'b', 'c'], { ttl: TTL });
    const other = await engine.acquire('d', { ttl: TTL });
    await bench.clock.advance(1_000);
    const { length } = asked;
    await bench.clock.run(Promise.all([one.extend(), other.extend()]));
    expect(asked.slice(length).map(({ question }) => question)).toEqual(['renew', 'attached']);
    for (const lock of [one, other]) expect(lock.remainingMs).toBeGreaterThan(TTL * 0.98);
    const before = asked.length;
    await bench.clock.run(one.extend());
    expect(asked.slice(before).filter(({ question }) => question === 'renew')).toHaveLength(1);
  });

  it('closing with many locks held ends their session instead of releasing each, but keeps what has a minHold', async () => {
    const { bench, server, process } = servers();
    const { engine, asked } = process();
    await bench.clock.run(Promise.all(Array.from({ length: 500 }, (_, i) => engine.acquire(`key ${i}`, { ttl: TTL }))));
    await engine.acquire('job', { ttl: TTL, minHold: 5_000 });
    await bench.clock.run(engine.close(0));
    expect(asked.filter(({ question }) => question === 'release')).toHaveLength(1);
    expect(server.size).toBe(0);
    expect(bench.isUntouched('key 7')).toBe(true);
  });

  it('closing ends the sessions', async () => {
    const { bench, server, process } = servers();
    const { engine, clock } = process();
    await engine.acquire('a', { ttl: TTL });
    await engine.acquire('b', { ttl: 2 * TTL });
    await bench.clock.run(engine.close(0));
    expect(server.size).toBe(0);
    expect(bench.table.size).toBe(0);
    expect(clock.pending).toBe(0);
  });
});
