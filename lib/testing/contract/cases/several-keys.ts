import { strict as assert } from 'node:assert';
import { LockLostError, LockTimeoutError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { sleep, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, loss, standInLine } from '../stage.js';
import { pick } from './mutex.js';

/** `acquire([a, b])`: all of them or none. */
export const severalKeysCases: readonly Case[] = [
  {
    name: 'all are held, under one handle, with a token each, and one release frees all',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('c'), stage.key('a'), stage.key('b')];
      const sorted = keys.toSorted();
      const lock = await engine.acquire(keys, { ttl: LONG });
      assert.deepEqual(lock.keys, sorted, 'in the order in which everybody locks them');
      assert.equal(lock.key, sorted.join(' + '));
      for (const key of keys) assert.equal(await other.tryAcquire(key), null);
      if (stage.traits.fencing) {
        const tokens = keys.map((key) => lock.fencingTokens.get(key) ?? 0n);
        assert(tokens.every((token) => token > 0n));
        assert.equal(
          lock.fencingToken,
          tokens.reduce((a, b) => (a > b ? a : b)),
        );
      }
      assert.equal(await lock.release(), true);
      for (const key of keys) assert.equal(await (await other.tryAcquire(key))?.release(), true);
      await stage.assertNoResidue(...keys);
    },
  },
  {
    name: 'beside readers and holders of a permit: all are had where they go together, and none where not',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      for (const kind of [{ mode: 'shared' }, { limit: 3 }] as const) {
        if ('limit' in kind ? !stage.traits.semaphores : !stage.traits.modes.includes(kind.mode)) continue;
        const keys = ['a', 'b', 'c'].map((label) => stage.key(`${label}{beside}`));
        const beside = await other.acquire(keys[1] ?? '', { ttl: LONG, ...kind });
        if ('mode' in kind) assert.equal(await engine.tryAcquire(keys), null, 'a writer waits for the reader');
        const all = await engine.tryAcquire(keys, { ttl: LONG, ...kind });
        assert(all, 'they go together');
        assert.equal((await stage.observer.backend.inspect(stage.fullKey(keys[1] ?? ''))).holders.length, 2);
        assert.equal(await all.release(), true);
        assert.equal(beside.held, true);
        await beside.release();
        await stage.assertNoResidue(...keys);
      }
    },
  },
  {
    name: 'a key that is named twice is locked once',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      const lock = await within(
        5_000,
        'no deadlock with itself',
        engine.acquire([key, key], { ttl: LONG, wait: LONG }),
      );
      assert.deepEqual(lock.keys, [key]);
      assert.equal(await lock.release(), true);
      assert.equal(await stage.untouched(key), true);
    },
  },
  {
    name: 'one that stays busy: none is held, and what was held is given back before the error comes',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('a'), stage.key('b'), stage.key('c')];
      const busy = await other.acquire(keys[1] ?? '', { ttl: LONG });
      assert.equal(await engine.tryAcquire(keys), null);
      await assert.rejects(engine.acquire(keys, { wait: 200, ttl: LONG }), LockTimeoutError);
      for (const key of [keys[0] ?? '', keys[2] ?? '']) {
        const free = await other.tryAcquire(key);
        assert(free, 'given back by now');
        await free.release();
      }
      const abort = new AbortController();
      const reason = new Error('enough');
      const waiting = engine.acquire(keys, { wait: LONG, ttl: LONG, signal: abort.signal });
      setTimeout(() => abort.abort(reason), 50);
      await assert.rejects(waiting, (error: unknown) => error === reason);
      assert.equal(await busy.release(), true);
      await stage.assertNoResidue(...keys);
    },
  },
  {
    name: 'one total wait, not one for each key',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('a'), stage.key('b')];
      const [first, second] = [
        await other.acquire(keys[0] ?? '', { ttl: LONG }),
        await other.acquire(keys[1] ?? '', { ttl: LONG }),
      ];
      const started = performance.now();
      const waiting = assert.rejects(engine.acquire(keys, { wait: 1_200, ttl: LONG }), LockTimeoutError);
      await sleep(1_000);
      await first.release();
      await waiting;
      const waited = performance.now() - started;
      assert(waited >= 1_195 && waited < 2_000, `waited ${waited} ms of 1200`);
      await second.release();
    },
  },
  {
    name: 'the last one that becomes free lets the waiter in at once',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('a'), stage.key('b'), stage.key('c')];
      const locks = await Promise.all(keys.map((key) => other.acquire(key, { ttl: LONG })));
      const waiting = await standInLine(engine, keys, { ttl: LONG });
      for (const lock of locks.toReversed()) {
        await sleep(20);
        await lock.release();
      }
      const all = await within(SLACK + 8 * stage.rtt, 'all are held', waiting.lock);
      assert.equal(all.held, true);
      assert.equal(await all.release(), true);
      await stage.assertNoResidue(...keys);
    },
  },
  {
    name: 'the loss of one is the loss of all: one signal, and the others are let go with the release',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('a'), stage.key('b')];
      const lock = await engine.acquire(keys, { ttl: stage.ttl });
      await stage.observer.backend.forceRelease(stage.fullKey(keys[1] ?? ''));
      assert((await within(stage.ttl + SLACK, 'the loss is told', loss(lock))) instanceof LockLostError);
      assert.equal(lock.held, false);
      assert.equal(await lock.release(), false);
      for (const key of keys) {
        const next = await within(stage.ttl + SLACK, 'free again', other.acquire(key, { ttl: LONG }));
        await next.release();
      }
      await stage.assertNoResidue(...keys);
    },
  },
  {
    name: 'all are renewed for many leases',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const keys = [stage.key('a'), stage.key('b'), stage.key('c')];
      const lock = await engine.acquire(keys, { ttl: stage.ttl });
      await sleep(stage.ttl * 2);
      assert.equal(lock.held, true);
      for (const key of keys) assert.equal(await other.tryAcquire(key), null);
      assert.equal(await lock.release(), true);
    },
  },
  {
    name: 'dining philosophers: overlapping sets in any order never block each other for good',
    async run(stage) {
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const forks = Array.from({ length: 5 }, () => stage.key('fork'));
      const meals = Array<number>(10).fill(0);
      const dinner = together(10, async (philosopher) => {
        for (let round = 0; round < 6; round++) {
          const [left, right, spoon] = [0, 1, 3].map((step) => pick(forks, philosopher + step));
          const wanted = [left, right, ...(round % 3 === 0 ? [spoon] : [])].filter((fork) => fork !== undefined);
          if ((philosopher + round) % 2) wanted.reverse();
          await recorder.hold(pick(engines, philosopher), wanted, { ttl: LONG, wait: LONG }, async () => {
            await sleep(round % 3);
            meals[philosopher] = (meals[philosopher] ?? 0) + 1;
          });
        }
      });
      await within(20_000, 'everybody has eaten', dinner);
      assert.deepEqual(meals, Array<number>(10).fill(6));
      stage.assertCorrect(recorder);
      await stage.assertNoResidue(...forks);
    },
  },
  {
    name: 'a set is not starved by those who take its keys one by one',
    async run(stage) {
      if (!stage.traits.fifo) return;
      const engines = await stage.engines(3);
      const keys = [stage.key('a'), stage.key('b')];
      let over = false;
      const loops = together(6, async (worker) => {
        const key = pick(keys, worker);
        while (!over) {
          const lock = await pick(engines, worker).acquire(key, { ttl: LONG, wait: LONG });
          await sleep(1);
          await lock.release();
        }
      });
      await sleep(20);
      for (let round = 0; round < 3; round++) {
        const all = await within(
          5_000,
          'the set is held',
          pick(engines, round).acquire(keys, { ttl: LONG, wait: LONG }),
        );
        await all.release();
      }
      over = true;
      await loops;
    },
  },
];
