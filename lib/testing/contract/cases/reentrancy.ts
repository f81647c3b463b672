import { strict as assert } from 'node:assert';
import { LockLostError, LockTimeoutError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { deferred, sleep, SLACK, together, within } from '../patience.js';
import { assertRefused, LONG, loss } from '../stage.js';

const again = { ttl: LONG, reentrant: true } as const;

/** Re-entry by async context: the live lease counts, not the process. */
export const reentrancyCases: readonly Case[] = [
  {
    name: 'whoever holds a key enters it again at once, with the same token, and keeps it until the outermost leaves',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const depth = await engine.withLock(
        key,
        async (outer) => {
          const inner = await engine.withLock(
            key,
            async (nested) => {
              assert.equal(nested.fencingToken, outer.fencingToken);
              assert.equal(nested.held, true);
              return engine.withLock(
                key,
                (third) => {
                  assert.equal(third.fencingToken, outer.fencingToken);
                  return 3;
                },
                again,
              );
            },
            again,
          );
          assert.equal(outer.held, true, 'leaving the inner one releases nothing');
          assert.equal(await other.tryAcquire(key), null);
          return inner;
        },
        again,
      );
      assert.equal(depth, 3);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'nested siblings run one at a time',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      let inside = 0;
      const results = await engine.withLock(
        key,
        () =>
          together(5, (sibling) =>
            engine.withLock(
              key,
              async () => {
                assert.equal(++inside, 1);
                await sleep(5);
                inside--;
                return sibling;
              },
              again,
            ),
          ),
        again,
      );
      assert.deepEqual(results, [0, 1, 2, 3, 4]);
    },
  },
  {
    name: 'nested siblings run one at a time also when each takes another key besides',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      let inside = 0;
      await engine.withLock(
        key,
        () =>
          together(3, () =>
            engine.withLock(
              [key, stage.key()],
              async () => {
                assert.equal(++inside, 1);
                await sleep(5);
                inside--;
              },
              again,
            ),
          ),
        again,
      );
    },
  },
  {
    name: 'a sibling that fails stops nobody behind it',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      const outcomes = await engine.withLock(
        key,
        () =>
          Promise.allSettled(
            [1, 2, 3].map((sibling) =>
              engine.withLock(
                key,
                () => {
                  if (sibling === 2) throw new Error('mine');
                  return sibling;
                },
                again,
              ),
            ),
          ),
        again,
      );
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
    },
  },
  {
    name: 'another context of the same process is not let in, nor is one that asked for `reentrant: false`',
    patient: true,
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      await engine.withLock(
        key,
        async () => {
          await assert.rejects(
            engine.withLock(key, () => assert.fail('the work ran'), { wait: 100, reentrant: false }),
            LockTimeoutError,
          );
          const stranger = engine.withLock(stage.key(), () => 'another key', again);
          assert.equal(await stranger, 'another key');
        },
        again,
      );
      const [entered, leave] = [deferred(), deferred()];
      const first = engine.withLock(
        key,
        () => {
          entered.resolve();
          return leave.promise;
        },
        again,
      );
      await entered.promise;
      await assert.rejects(
        engine.withLock(key, () => assert.fail('the work ran'), { wait: 100, reentrant: true }),
        LockTimeoutError,
      );
      leave.resolve();
      await first;
    },
  },
  {
    name: 'a shared holder that asks for exclusive is told at once instead of waiting for itself',
    async run(stage) {
      if (!stage.traits.modes.includes('shared')) return;
      const engine = await stage.engine();
      const key = stage.key();
      await engine.withLock(
        key,
        async () => {
          await assertRefused(
            engine.withLock(key, () => assert.fail('the work ran'), { ...again, wait: LONG }),
            /shared/,
          );
          assert.equal(await engine.withLock(key, () => 'read', { ...again, mode: 'shared' }), 'read');
        },
        { ...again, mode: 'shared' },
      );
      assert.equal(
        await engine.withLock(key, () => engine.withLock(key, () => 'read', { ...again, mode: 'shared' }), again),
        'read',
      );
    },
  },
  {
    name: 'the holder of a permit that asks to be alone is told, for a permit is not the whole',
    async run(stage) {
      if (!stage.traits.semaphores) return;
      const engine = await stage.engine();
      const key = stage.key();
      const permit = { ...again, limit: 5 };
      await engine.withLock(
        key,
        async () => {
          await assertRefused(
            engine.withLock(key, () => assert.fail('the work ran'), { ...again, wait: LONG }),
            '5',
            '1',
          );
          assert.equal(await engine.withLock(key, () => 'same permit', permit), 'same permit');
        },
        permit,
      );
    },
  },
  {
    name: 'a lost lease makes re-entry throw',
    patient: true,
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      let ran = false;
      const outer = engine.withLock(
        key,
        async (lock) => {
          await stage.observer.backend.forceRelease(stage.fullKey(key));
          await loss(lock);
          await assert.rejects(
            engine.withLock(key, () => void (ran = true), again),
            LockLostError,
          );
        },
        { ttl: stage.ttl, reentrant: true },
      );
      await assert.rejects(within(stage.ttl + SLACK * 2, 'the loss is told', outer), LockLostError);
      assert.equal(ran, false);
    },
  },
  {
    name: 'work that outlives the lock does not pass for it',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const released = deferred();
      let late: Promise<unknown> = Promise.resolve();
      await engine.withLock(
        key,
        () => {
          late = released.promise.then(() =>
            engine.withLock(key, () => assert.fail('the work ran'), { wait: 200, reentrant: true }),
          );
          late.catch(() => undefined);
        },
        again,
      );
      const lock = await other.acquire(key, { ttl: LONG });
      released.resolve();
      await assert.rejects(late, LockTimeoutError);
      await lock.release();
    },
  },
  {
    name: 'a lock of several keys is re-entered by any of them; keys that are not held are locked',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const [a, b] = [stage.key('a'), stage.key('b')];
      await engine.withLock(
        [a, b],
        async () => {
          assert.equal(await engine.withLock(b, () => 'b', { ...again, wait: 1_000 }), 'b');
          assert.equal(await engine.withLock([b, a], () => 'both', { ...again, wait: 1_000 }), 'both');
          assert.equal(await other.tryAcquire(a), null);
        },
        again,
      );
      await stage.assertNoResidue(a, b);
    },
  },
];
