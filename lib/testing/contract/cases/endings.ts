import { strict as assert } from 'node:assert';
import { getEventListeners } from 'node:events';
import { LockBackendError, LockClosedError, LockKeyError, LockLostError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { deferred, SLACK, together, within } from '../patience.js';
import { LONG, loss, nextEvent, standInLine } from '../stage.js';
import { Wire } from '../wire.js';
import { pick } from './mutex.js';

const lost = new Error('the wire lost it');

/** DESIGN section 3, 10 to 14: errors, aborts and shutdown. What needs thousands of schedules is in the simulation as well. */
export const endingsCases: readonly Case[] = [
  {
    name: "10 the work's own error wins; work that succeeded on a lost lock fails; an unknown release does not",
    async run(stage) {
      const wire = new Wire();
      const engine = await stage.engine({ wire });
      const own = new RangeError('my own');
      const key = stage.key();
      const steal = () => stage.observer.backend.forceRelease(stage.fullKey(key));
      assert.equal(await engine.withLock(key, () => 42, { ttl: stage.ttl }), 42);
      assert.equal(await engine.withLock(key, async () => 'later', { ttl: stage.ttl }), 'later');
      const fails = () => engine.withLock(key, () => Promise.reject(own), { ttl: stage.ttl });
      await assert.rejects(fails(), (error: unknown) => error === own);
      const failsAndLoses = engine.withLock(
        key,
        async (lock) => {
          await steal();
          await loss(lock);
          throw own;
        },
        { ttl: stage.ttl },
      );
      await assert.rejects(failsAndLoses, (error: unknown) => error === own);
      const loses = engine.withLock(
        key,
        async (lock) => {
          await steal();
          await loss(lock);
        },
        { ttl: stage.ttl },
      );
      await assert.rejects(loses, LockLostError);
      const unknown = nextEvent(engine, (event) => event.type === 'release-unknown');
      wire.ask = async (question, send) => {
        if (question !== 'release') return send();
        throw lost;
      };
      assert.equal(await engine.withLock(key, () => 'done', { ttl: stage.ttl }), 'done');
      await within(SLACK, 'the unknown release is an event', unknown);
      wire.heal();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: "11 abort: the caller's own reason comes out unwrapped, before, at the start of and during the wait, and nothing stays",
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      const reason = { my: 'reason' };
      const free = stage.key();
      await assert.rejects(
        engine.acquire(free, { signal: AbortSignal.abort(reason) }),
        (error: unknown) => error === reason,
      );
      await assert.rejects(
        engine.tryAcquire(free, { signal: AbortSignal.abort(reason) }),
        (error: unknown) => error === reason,
      );
      const work = () => assert.fail('the work ran');
      await assert.rejects(
        engine.withLock(free, work, { signal: AbortSignal.abort(reason) }),
        (error: unknown) => error === reason,
      );
      const lock = await engine.acquire(key, { ttl: LONG });
      for (const delay of [0, 5, 50]) {
        const abort = new AbortController();
        const waiting = engine.acquire(key, { ttl: LONG, wait: LONG, signal: abort.signal });
        setTimeout(() => abort.abort(reason), delay);
        await within(
          SLACK,
          'the wait ends',
          assert.rejects(waiting, (error: unknown) => error === reason),
        );
        assert(getEventListeners(abort.signal, 'abort').length <= 1, 'listeners do not pile up');
      }
      // Once acquired, the signal has had its say.
      const late = new AbortController();
      const held = await engine.acquire(free, { ttl: LONG, signal: late.signal });
      late.abort(reason);
      assert.equal(held.held, true);
      await Promise.all([held.release(), lock.release()]);
      await stage.assertNoResidue(key, free);
    },
  },
  {
    name: '12 fail closed: no key, no server, no engine: the work does not run',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const engine = await stage.engine({ wire, callTimeout: 200 });
      const work = () => assert.fail('the work ran');
      await assert.rejects(engine.withLock('', work), LockKeyError);
      const key = stage.key();
      wire.ask = () => Promise.reject(lost);
      await assert.rejects(engine.withLock(key, work, { wait: 300, ttl: LONG }), (error: unknown) => {
        assert(error instanceof LockBackendError, String(error));
        assert.equal(error.cause, lost);
        return true;
      });
      wire.ask = () => new Promise(() => undefined);
      await within(
        10_000,
        'a silent server is given up',
        assert.rejects(engine.withLock(key, work, { wait: 300, ttl: LONG }), LockBackendError),
      );
      wire.heal();
      await engine.close(0);
      await assert.rejects(engine.withLock(key, work), LockClosedError);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: '12 fail closed: a silent server is given up by every call',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const engine = await stage.engine({ wire, callTimeout: 200 });
      const lock = await engine.acquire(stage.key(), { ttl: LONG });
      wire.freeze();
      const calls: [string, () => Promise<unknown>][] = [
        ['acquire', () => engine.acquire(stage.key(), { wait: 0 })],
        ['acquire of several', () => engine.acquire([stage.key(), stage.key()], { wait: 0 })],
        ['tryAcquire', () => engine.tryAcquire(stage.key())],
        ['inspect', () => engine.inspect(lock.key)],
        ['forceRelease', () => engine.forceRelease(lock.key)],
        ['ping', () => engine.ping()],
        ['extend', () => lock.extend(LONG)],
        ...(stage.observer.backend.downgrade
          ? [['downgrade', () => lock.downgrade()] as [string, () => Promise<unknown>]]
          : []),
      ];
      await Promise.all(
        calls.map(([name, call]) => within(5_000, `${name} ends`, assert.rejects(call(), LockBackendError, name))),
      );
      await within(5_000, 'release ends', lock.release());
      wire.heal();
      await stage.assertNoResidue(lock.key);
    },
  },
  {
    name: '13 shutdown: nobody waits any more, new calls are refused, running work ends and its locks are released',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const [mine, theirs] = [stage.key(), stage.key()];
      const foreign = await other.acquire(theirs, { ttl: LONG });
      const waiter = await standInLine(engine, theirs, { ttl: LONG });
      const [begun, finish] = [deferred(), deferred()];
      const running = engine.withLock(
        mine,
        async (lock) => {
          begun.resolve();
          await finish.promise;
          return lock.held;
        },
        { ttl: LONG },
      );
      await begun.promise;
      const idle = await engine.acquire(stage.key(), { ttl: LONG });
      engine.drain();
      await assert.rejects(waiter.lock, LockClosedError);
      await assert.rejects(engine.acquire(theirs, { wait: LONG }), LockClosedError, 'nobody waits while it drains');
      const closed = engine.close(5_000);
      await assert.rejects(engine.acquire(stage.key()), LockClosedError);
      await assert.rejects(engine.tryAcquire(stage.key()), LockClosedError);
      finish.resolve();
      assert.equal(await running, true, 'running work kept its lock');
      await idle.release();
      await within(5_000 + SLACK, 'closed', closed);
      await foreign.release();
      await stage.assertNoResidue(mine, theirs, idle.key);
    },
  },
  {
    name: '13 shutdown: what is still held when the grace is over is released',
    async run(stage) {
      const engine = await stage.engine();
      const lock = await engine.acquire(stage.key(), { ttl: LONG });
      await within(SLACK, 'closed', engine.close(50));
      assert.equal(lock.held, false);
      await stage.assertNoResidue(lock.key);
    },
  },
  {
    name: '14 nothing leaks: neither listeners on a signal that lives long, nor anything on the server',
    async run(stage) {
      const engines = await stage.engines(2);
      const long = new AbortController();
      const keys = Array.from({ length: 50 }, () => stage.key());
      await together(100, async (worker) => {
        for (let round = 0; round < 5; round++) {
          const key = pick(keys, worker + round);
          await (await pick(engines, worker).acquire(key, { ttl: LONG, wait: LONG, signal: long.signal })).release();
        }
      });
      assert(
        getEventListeners(long.signal, 'abort').length <= 2,
        'listeners do not pile up: one for each engine at most',
      );
      await stage.assertNoResidue(...keys);
    },
  },
];
