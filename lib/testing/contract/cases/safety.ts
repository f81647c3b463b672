import { strict as assert } from 'node:assert';
import { LockBackendError, LockError, LockLostError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { deferred, eventually, sleep, SLACK, stall, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, loss, nextEvent, standInLine } from '../stage.js';
import { Wire } from '../wire.js';
import { pick } from './mutex.js';

const lost = new Error('the wire lost it');

/** Promises 1 to 3: who is inside, and who believes so. What needs thousands of schedules is in the simulation as well. */
export const safetyCases: readonly Case[] = [
  {
    name: '1 exclusion: no two are inside, while requests and answers are late or lost',
    async run(stage) {
      const key = stage.key();
      let dice = 7;
      // A fixed sequence: a failure comes again.
      const roll = () => (dice = (dice * 16_807) % 2_147_483_647) / 2_147_483_647;
      const engines = await Promise.all(
        [0, 1, 2].map(() => {
          const wire = new Wire();
          wire.ask = async (_, send) => {
            if (roll() < 0.03) throw lost;
            await sleep(roll() * 4);
            const answer = await send();
            await sleep(roll() * 4);
            if (roll() < 0.03) throw lost;
            return answer;
          };
          wire.push = (deliver) => void setTimeout(deliver, roll() * 4);
          return stage.engine({ wire });
        }),
      );
      const recorder = new Recorder(engines);
      let counter = 0;
      let entered = 0;
      await together(9, async (worker) => {
        for (let round = 0; round < 5;) {
          const enter = recorder.hold(pick(engines, worker), key, { wait: LONG, ttl: stage.ttl * 5 }, async () => {
            entered++;
            const read = counter;
            await sleep(roll() * 3);
            counter = read + 1;
          });
          await enter.then(
            () => round++,
            (error: unknown) => assert(error instanceof LockBackendError, String(error)),
          );
        }
      });
      assert.equal(counter, entered, 'no increment was lost');
      // An attempt that was given up costs its place in line, never exclusion or the order of tokens.
      stage.assertCorrect(recorder, { fifo: false });
    },
  },
  {
    name: '2 validity counts from the send: an answer that was long on the way leaves that much less to believe in',
    patient: true,
    async run(stage) {
      const late = stage.ttl / 8;
      const wire = new Wire();
      const engine = await stage.engine({ wire });
      wire.ask = async (question, send) => {
        const answer = await send();
        if (question === 'attempt' || question === 'renew') await sleep(late);
        return answer;
      };
      const lock = await engine.acquire(stage.key(), { ttl: stage.ttl });
      assert(
        lock.remainingMs <= stage.ttl - late + 1,
        `believed for ${lock.remainingMs} ms after an answer that took ${late}`,
      );
      if (lock.held) await lock.extend(stage.ttl).catch((error: unknown) => assert(error instanceof LockError));
      assert(
        lock.remainingMs <= stage.ttl - late + 1,
        `believed for ${lock.remainingMs} ms after a renewal that took ${late}`,
      );
    },
  },
  {
    name: '2 validity counts from the send: an answer that comes when somebody else is inside is not believed',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, other] = [await stage.engine({ wire }), await stage.engine()];
      const recorder = new Recorder([engine, other]);
      const key = stage.key();
      const answered = deferred();
      let first = true;
      wire.ask = async (question, send) => {
        const answer = await send();
        if (question === 'attempt' && first) {
          first = false;
          await answered.promise;
        }
        return answer;
      };
      const belated = recorder.hold(engine, key, { ttl: stage.ttl, wait: LONG });
      await eventually(
        'somebody else has been inside',
        async () => {
          const taken = await other.tryAcquire(key, { ttl: LONG });
          if (!taken) return false;
          const leave = recorder.enter(taken, performance.now());
          answered.resolve();
          await sleep(100);
          leave();
          return taken.release();
        },
        stage.ttl * 2 + SLACK,
      );
      await within(SLACK + stage.ttl, 'the late one gets its turn', belated);
      stage.assertCorrect(recorder, { fifo: false });
    },
  },
  {
    name: '2 validity counts from the send: a pushed grant that comes when somebody else is inside is not believed',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [frozen, other] = [await stage.engine({ wire }), await stage.engine()];
      const recorder = new Recorder([frozen, other]);
      const key = stage.key();
      const holder = await other.acquire(key, { ttl: LONG });
      const deliveries: (() => void)[] = [];
      const waiting = nextEvent(frozen, (event) => event.type === 'waiting');
      const patient = recorder.hold(frozen, key, { ttl: stage.ttl, wait: LONG }, () => sleep(50));
      await waiting;
      wire.freeze();
      wire.push = (deliver) => deliveries.push(deliver);
      const leave = deferred();
      const entered = nextEvent(other, (event) => event.type === 'acquired');
      const behind = recorder.hold(other, key, { ttl: LONG, wait: LONG }, () => leave.promise);
      await holder.release();
      await within(stage.ttl * 2 + SLACK + 5_000, 'the one behind is inside', entered);
      for (const deliver of deliveries) deliver();
      await sleep(100);
      wire.heal();
      await sleep(100);
      leave.resolve();
      await behind;
      await within(15_000, 'the one that was frozen gets its turn', patient);
      stage.assertCorrect(recorder, { fifo: false });
    },
  },
  {
    name: '3 loss is told: the signal aborts before the lease can end on the server',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, other] = [await stage.engine({ wire }), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const next = await standInLine(other, key, { ttl: LONG });
      wire.ask = () => Promise.reject(lost);
      wire.push = () => undefined;
      // Asked as the next one has it: which of two timers of one event loop comes first says nothing of the lease.
      const believed = next.lock.then(() => [lock.held, lock.signal.aborted]);
      assert((await loss(lock)) instanceof LockLostError);
      assert.equal(lock.held, false);
      assert.throws(() => lock.assertHeld(), LockLostError);
      assert.equal(lock.remainingMs, 0);
      assert.deepEqual(await within(stage.ttl + SLACK, 'the next one has it', believed), [false, true]);
    },
  },
  {
    name: '3 loss is told: after a stall of the event loop `held` is false at the first look',
    async run(stage) {
      const engine = await stage.engine();
      const lock = await engine.acquire(stage.key(), { ttl: stage.ttl });
      assert.equal(lock.held, true);
      stall(stage.ttl + 50);
      assert.equal(lock.held, false);
      assert.equal(lock.remainingMs, 0);
      assert.throws(() => lock.assertHeld(), LockLostError);
      await within(SLACK, 'the signal aborts', loss(lock));
    },
  },
];
