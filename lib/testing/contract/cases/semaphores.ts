import { strict as assert } from 'node:assert';
import type { Case } from '../case.js';
import { deferred, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { assertRefused, LONG, type Stage, standInLine } from '../stage.js';
import { Wire } from '../wire.js';
import { pick } from './mutex.js';

const cases: readonly Case[] = [
  {
    name: 'as many as the limit are in together, each with an owner and a token of its own, and no more',
    async run(stage) {
      const engines = await stage.engines(2);
      const key = stage.key();
      const locks = await together(5, (worker) => pick(engines, worker).acquire(key, { limit: 5, ttl: LONG }));
      assert.equal(new Set(locks.map((lock) => lock.owner)).size, 5);
      if (stage.traits.fencing) assert.equal(new Set(locks.map((lock) => lock.fencingToken)).size, 5);
      assert.equal(await pick(engines, 0).tryAcquire(key, { limit: 5 }), null);
      const info = await pick(engines, 1).inspect(key);
      assert.deepEqual([info.limit, info.holders.length], [5, 5]);
      assert.equal(await locks[2]?.release(), true);
      const next = await pick(engines, 0).tryAcquire(key, { limit: 5 });
      assert(next);
      // Released twice, a permit is still one permit.
      await locks[2]?.release();
      assert.equal(await pick(engines, 1).tryAcquire(key, { limit: 5 }), null);
      for (const lock of [...locks, next]) await lock.release();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'all permits are used: as many as the limit meet inside',
    async run(stage) {
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const key = stage.key();
      let [inside, entered] = [0, 0];
      let meeting = deferred();
      await within(
        10_000,
        'everybody met',
        together(15, (worker) =>
          recorder.hold(pick(engines, worker), key, { limit: 5, ttl: LONG, wait: LONG }, async () => {
            const mine = meeting;
            entered++;
            if (++inside === 5) {
              [inside, meeting] = [0, deferred()];
              mine.resolve();
            }
            await mine.promise;
          }),
        ),
      );
      assert.equal(entered, 15);
      stage.assertCorrect(recorder);
    },
  },
  {
    name: 'a crash returns the permit at the end of its lease, and only that one',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, dying] = [await stage.engine(), await stage.engine({ wire })];
      const key = stage.key();
      const alive = await engine.acquire(key, { limit: 2, ttl: stage.ttl });
      const dead = await dying.acquire(key, { limit: 2, ttl: stage.ttl });
      const next = await standInLine(engine, key, { limit: 2, ttl: LONG });
      wire.freeze();
      const successor = await within(stage.ttl + SLACK, 'the permit is back', next.lock);
      assert.equal(dead.held, false);
      assert.equal(alive.held, true);
      assert.equal(await engine.tryAcquire(key, { limit: 2 }), null);
      for (const lock of [alive, successor]) assert.equal(await lock.release(), true);
    },
  },
  {
    name: 'minHold keeps one permit, not the semaphore',
    patient: true,
    async run(stage) {
      // Its refusal is tested with a lock.
      if (stage.traits.minHold === false) return;
      const engine = await stage.engine();
      const key = stage.key();
      const brief = await engine.acquire(key, { limit: 2, ttl: LONG, minHold: stage.ttl });
      await brief.release();
      const lock = await engine.tryAcquire(key, { limit: 2, ttl: LONG });
      assert(lock, 'the other permit is free');
      assert.equal(await engine.tryAcquire(key, { limit: 2 }), null);
      const next = await within(
        stage.ttl + SLACK,
        'the kept permit is back',
        engine.acquire(key, { limit: 2, ttl: LONG }),
      );
      for (const one of [lock, next]) assert.equal(await one.release(), true);
    },
  },
  {
    name: 'holders who disagree about the limit are told both numbers, at once, and harm nobody',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { limit: 5, ttl: LONG });
      await assertRefused(other.acquire(key, { limit: 3, wait: LONG }), '5', '3');
      await assertRefused(other.tryAcquire(key, { limit: 3 }), '5', '3');
      await assertRefused(other.acquire(key, { wait: LONG }), '5', '1');
      if (stage.traits.modes.includes('shared'))
        await assertRefused(other.acquire(key, { mode: 'shared', wait: LONG }), '5');
      await assertRefused(other.acquire([stage.key(), key], { wait: LONG }), '5', '1');
      const info = await other.inspect(key);
      assert.deepEqual([info.limit, info.holders.length, info.waiting], [5, 1, 0]);
      assert.equal(await lock.release(), true);
      // Nobody uses it as a semaphore any more.
      const mutex = await other.acquire(key, { ttl: LONG });
      await assertRefused(engine.acquire(key, { limit: 5, wait: LONG }), '5', '1');
      assert.equal(await mutex.release(), true);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'a key can be a semaphore of another size when nobody uses it any more',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      for (const limit of [3, 1, 5, 2]) {
        const locks = await together(limit, () => engine.acquire(key, { limit, ttl: LONG, wait: 0 }));
        assert.equal(await engine.tryAcquire(key, { limit }), null);
        await Promise.all(locks.map((lock) => lock.release()));
      }
      await stage.assertNoResidue(key);
    },
  },
];

/** Semaphores, on a backend that has them. One that has not says so. */
export const semaphoreCases: readonly Case[] = cases.map((one) => ({
  ...one,
  run: (stage) => (stage.traits.semaphores ? one.run(stage) : refused(stage)),
}));

async function refused(stage: Stage): Promise<void> {
  const engine = await stage.engine();
  await assertRefused(engine.acquire(stage.key(), { limit: 5 }), 'limit');
}
