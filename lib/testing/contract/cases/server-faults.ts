import { strict as assert } from 'node:assert';
import { LockBackendError, LockError, LockLostError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { eventually, sleep, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, loss, standInLine } from '../stage.js';
import { pick } from './mutex.js';

/** What happens to the server itself. */
export const serverFaultCases: readonly Case[] = [
  {
    name: 'connections that are cut while some hold and some wait: everybody keeps what he has and gets his turn',
    needs: ['cutConnections'],
    async run(stage) {
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const key = stage.key();
      const lock = await pick(engines, 0).acquire(key, { ttl: LONG });
      const leave = recorder.enter(lock, performance.now());
      const waiting = await together(6, (worker) => standInLine(pick(engines, worker), key, { ttl: LONG }));
      await stage.faults.cutConnections?.();
      assert.equal(lock.held, true);
      leave();
      const released = lock.release();
      await stage.faults.cutConnections?.();
      await within(
        15_000,
        'everybody had a turn',
        Promise.all(
          waiting.map(async ({ lock: turn }) => {
            const held = await turn;
            const out = recorder.enter(held, performance.now());
            await sleep(5);
            out();
            await held.release();
          }),
        ),
      );
      assert.equal(await released, true);
      stage.assertCorrect(recorder, { fifo: false });
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'connections that are cut at the moment of the release cost a waiter a moment, not the lease',
    needs: ['cutConnections'],
    async run(stage) {
      const engines = await stage.engines(2);
      for (let round = 0; round < 5; round++) {
        const key = stage.key();
        const lock = await pick(engines, round).acquire(key, { ttl: LONG });
        const next = await standInLine(pick(engines, round + 1), key, { ttl: LONG });
        await Promise.all([lock.release(), stage.faults.cutConnections?.()]);
        await (await within(5_000 + SLACK, 'the waiter has it', next.lock)).release();
      }
    },
  },
  {
    name: 'a frozen server: calls end, locks are given up before their leases end, and all is well when it wakes',
    needs: ['pause', 'resume'],
    async run(stage) {
      const [engine, other] = [await stage.engine({ callTimeout: 300 }), await stage.engine({ callTimeout: 300 })];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const waiter = await standInLine(other, key, { ttl: stage.ttl });
      await stage.faults.pause?.();
      try {
        assert((await within(stage.ttl + SLACK, 'the loss is told', loss(lock))) instanceof LockLostError);
        await within(
          5_000,
          'a call ends',
          assert.rejects(engine.acquire(stage.key(), { wait: 300, ttl: LONG }), LockBackendError),
        );
        await within(5_000, 'a call ends', assert.rejects(engine.inspect(key), LockBackendError));
        await within(5_000, 'a release ends', lock.release());
      } finally {
        await stage.faults.resume?.();
      }
      await (await within(stage.ttl + 10_000, 'the waiter has it', waiter.lock)).release();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'a server that restarts with its data: tokens grow on, and whoever waited is served',
    needs: ['restart'],
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      const waiter = await standInLine(other, key, { ttl: LONG });
      await stage.faults.restart?.({ keepData: true });
      assert.equal(lock.held, true, 'the lease is long enough to live through it');
      await eventually('the release is confirmed', async () => {
        await lock.release();
        return true;
      });
      const next = await within(20_000, 'the waiter has it', waiter.lock);
      if (lock.fencingToken !== undefined)
        assert(next.fencingToken !== undefined && next.fencingToken > lock.fencingToken);
      await next.release();
    },
  },
  {
    name: 'a server that restarts without its data: the holder is told, whoever waits is served, and tokens that outlive data grow on',
    needs: ['restart'],
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const waiter = await standInLine(other, key, { ttl: LONG });
      const told = loss(lock);
      await stage.faults.restart?.({ keepData: false });
      assert((await within(stage.ttl + SLACK, 'the loss is told', told)) instanceof LockLostError);
      const next = await within(20_000, 'the waiter has it', waiter.lock);
      if (stage.tokensOutliveData && lock.fencingToken !== undefined)
        assert(next.fencingToken !== undefined && next.fencingToken > lock.fencingToken);
      await next.release();
      // And once more for locks of every name, with nothing left of the old server's answers.
      const fresh = await engine
        .acquire(stage.key(), { ttl: LONG })
        .catch((error: unknown) => assert(error instanceof LockError));
      await fresh?.release();
    },
  },
  {
    name: 'a lock outlives the loss of the server that granted it, where the backend says so',
    needs: ['failover'],
    async run(stage) {
      if (!stage.traits.survivesFailover) return;
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      await stage.faults.failover?.();
      await eventually(
        'the successor answers',
        () =>
          other.ping().then(
            () => true,
            () => false,
          ),
        20_000,
      );
      assert.equal(await other.tryAcquire(key), null);
      assert.equal(lock.held, true);
      assert.equal(await lock.release(), true);
      const next = await other.acquire(key, { ttl: LONG });
      if (lock.fencingToken !== undefined)
        assert(next.fencingToken !== undefined && next.fencingToken > lock.fencingToken);
      await next.release();
    },
  },
];
