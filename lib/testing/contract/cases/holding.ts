import { strict as assert } from 'node:assert';
import { LockLostError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { eventually, sleep, SLACK, within } from '../patience.js';
import { assertRefused, LONG, loss, standInLine } from '../stage.js';
import { Wire } from '../wire.js';

/** The life of a lock between acquisition and release. */
export const holdingCases: readonly Case[] = [
  {
    name: 'the watch-dog keeps a lock for many leases; without it the lock ends with its lease, and says so',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const kept = await engine.acquire(stage.key(), { ttl: stage.ttl });
      const left = await engine.acquire(stage.key(), { ttl: stage.ttl, renew: false });
      const next = await standInLine(other, left.key, { ttl: LONG });
      assert((await within(stage.ttl + SLACK, 'the signal aborts', loss(left))) instanceof LockLostError);
      assert.equal(left.held, false);
      await within(SLACK, 'the next one has it', next.lock);
      await sleep(stage.ttl * 1.5);
      assert.equal(kept.held, true);
      assert.equal(await other.tryAcquire(kept.key), null);
      assert.equal(await kept.release(), true);
      assert.equal(await left.release(), false);
    },
  },
  {
    name: 'release() lets go once; later calls give the first answer, and `await using` is the same',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      const first = lock.release();
      assert.equal(lock.held, false, 'not held from the call on');
      assert.equal(await first, true);
      const next = await other.acquire(key, { ttl: LONG });
      assert.equal(await lock.release(), true);
      await lock[Symbol.asyncDispose]();
      assert.equal(next.held, true);
      await assert.rejects(lock.extend(LONG), LockLostError);
      assert.throws(() => lock.assertHeld(), LockLostError);
      await next[Symbol.asyncDispose]();
      assert.equal(await stage.untouched(key), true);
    },
  },
  {
    name: 'extend() renews now and to the new length from here on; a lost lock cannot be extended',
    async run(stage) {
      const engine = await stage.engine();
      const lock = await engine.acquire(stage.key(), { ttl: stage.ttl, renew: false });
      await lock.extend(LONG);
      // In the session family the lease is the session's, and may stay as long as it was.
      const longer = stage.observer.backend.family === 'key';
      if (longer) assert(lock.remainingMs > LONG / 2, `${lock.remainingMs} ms remain`);
      else assert(lock.remainingMs > 0);
      assert.equal(lock.held, true);
      const victim = await engine.acquire(stage.key(), { ttl: LONG });
      await stage.observer.backend.forceRelease(stage.fullKey(victim.key));
      if (longer) {
        await assert.rejects(victim.extend(LONG), LockLostError);
        assert.equal(victim.held, false);
      }
      assert.equal(await victim.release(), false);
      await lock.release();
    },
  },
  {
    name: 'minHold keeps others out after an early release, even when the process is gone by then',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const minHold = stage.ttl * 1.5;
      if (stage.traits.minHold === false) return assertRefused(engine.acquire(key, { minHold }), 'minHold');
      const started = performance.now();
      const lock = await engine.acquire(key, { ttl: LONG, minHold });
      const next = await standInLine(other, key, { ttl: LONG });
      assert.equal(await lock.release(), true);
      assert.equal(lock.held, false);
      await engine.close(0);
      assert.equal(await other.tryAcquire(key), null);
      const successor = await within(minHold + SLACK, 'the next one has it', next.lock);
      const kept = performance.now() - started;
      assert(kept >= minHold, `kept for ${kept} ms and not for ${minHold}`);
      if (lock.fencingToken !== undefined)
        assert(successor.fencingToken !== undefined && successor.fencingToken > lock.fencingToken);
      await successor.release();
      // Held for longer than that, a release is a release.
      const [again, begun] = [await other.acquire(key, { ttl: LONG, minHold: 100 }), performance.now()];
      await eventually('the time is over', () => performance.now() - begun > 150);
      await again.release();
      assert.equal(await (await other.tryAcquire(key))?.release(), true);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'maxHold ends a lock that its watch-dog had kept: the signal aborts, and the next one enters although nobody released',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const maxHold = stage.ttl * 1.5;
      const started = performance.now();
      const lock = await engine.acquire(key, { ttl: stage.ttl, maxHold });
      assert(lock.remainingMs <= maxHold);
      const next = await standInLine(other, key, { ttl: LONG });
      const reason = await within(maxHold + SLACK, 'the signal aborts', loss(lock));
      const held = performance.now() - started;
      assert(held >= maxHold - 5, `ended after ${held} ms of ${maxHold}`);
      assert(reason instanceof LockLostError);
      assert.match(reason.message, /maxHold/);
      assert.equal(lock.held, false);
      // Let go of, or left to its lease.
      await (await within(stage.ttl + SLACK, 'the next one has it', next.lock)).release();
      assert.equal(await lock.release(), false);
      await assert.rejects(engine.withLock(key, loss, { ttl: LONG, maxHold: 100 }), LockLostError);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'forceRelease takes the lock, tells its holder, wakes the next, and says whether anybody held it',
    patient: true,
    async run(stage) {
      const [engine, other, operator] = [await stage.engine(), await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const next = await standInLine(other, key, { ttl: LONG });
      assert.equal(await operator.forceRelease(key), true);
      const successor = await within(SLACK, 'the next one has it', next.lock);
      assert((await within(stage.ttl + SLACK, 'the holder is told', loss(lock))) instanceof LockLostError);
      assert.equal(await lock.release(), false);
      assert.equal(successor.held, true);
      await successor.release();
      assert.equal(await operator.forceRelease(key), false);
    },
  },
  {
    name: 'inspect tells of the holder by its owner, token and time left, and of those who wait',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const { waiters = [], nodes: _, ...free } = await other.inspect(key);
      assert.deepEqual(waiters, []);
      assert.deepEqual(free, {
        key,
        held: false,
        mode: 'exclusive',
        limit: 1,
        holders: [],
        waiting: 0,
      });
      const lock = await engine.acquire(key, { ttl: LONG });
      const abort = new AbortController();
      const waiter = await standInLine(other, key, { signal: abort.signal });
      const info = await other.inspect(key);
      assert.equal(info.key, key);
      assert.equal(info.held, true);
      assert.equal(info.waiting, stage.traits.fifo ? 1 : 0);
      const [holder] = info.holders;
      assert.deepEqual([holder?.owner, holder?.fencingToken], [lock.owner, lock.fencingToken]);
      assert(holder && holder.remainingMs > 0 && holder.remainingMs <= LONG + 1_000);
      abort.abort();
      await assert.rejects(waiter.lock);
      await lock.release();
    },
  },
  {
    name: 'a lock stolen behind our back is told within its lease, and the lock works on',
    patient: true,
    needs: ['steal'],
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      await stage.faults.steal?.(stage.fullKey(key));
      assert((await within(stage.ttl + SLACK, 'the holder is told', loss(lock))) instanceof LockLostError);
      assert.equal(await lock.release(), false);
      const next = await engine.acquire(key, { ttl: LONG });
      if (lock.fencingToken !== undefined)
        assert(next.fencingToken !== undefined && next.fencingToken > lock.fencingToken);
      await next.release();
    },
  },
  {
    name: 'what the backend cannot do is refused by name: leases too short, nonsense durations, modes, limits',
    async run(stage) {
      const engine = await stage.engine({ wire: new Wire() });
      const key = stage.key();
      const { minTtl, modes, semaphores, fifo } = stage.traits;
      assert(stage.ttl >= minTtl, "the fixture's ttl is one that the backend keeps");
      if (minTtl > 0) await assertRefused(engine.acquire(key, { ttl: minTtl - 1 }), 'ttl', String(minTtl));
      for (const nonsense of [-1, Number.NaN, 'soon', '5 parsecs'] as never[]) {
        await assertRefused(engine.acquire(key, { wait: nonsense }), 'wait');
        await assertRefused(engine.acquire(key, { ttl: nonsense }), 'ttl');
        await assertRefused(engine.acquire(key, { minHold: nonsense }), 'minHold');
      }
      await assertRefused(engine.acquire(key, { ttl: Infinity }), 'ttl');
      for (const limit of [0, -1, 1.5, Number.NaN]) await assertRefused(engine.acquire(key, { limit }), 'limit');
      await assertRefused(engine.acquire(key, { mode: 'upside-down' as never }), 'mode');
      await assertRefused(engine.acquire(key, { mode: 'shared', limit: 5 }));
      if (!modes.includes('shared')) await assertRefused(engine.acquire(key, { mode: 'shared' }), 'shared');
      if (!semaphores) await assertRefused(engine.acquire(key, { limit: 5 }), 'limit');
      if (!fifo) await assertRefused(engine.acquire(key, { fair: true }), 'fair');
      assert.equal(await stage.untouched(key), true);
    },
  },
];
