import { strict as assert } from 'node:assert';
import { LockBackendError, LockError } from '../../../lock/errors.js';
import type { Lock } from '../../../lock/lock.js';
import type { Case } from '../case.js';
import { sleep, SLACK, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, nextEvent } from '../stage.js';
import { Wire } from '../wire.js';

const lost = new Error('the wire lost it');

/** Promises 4 and 5: unknown is not no, and tokens grow. */
export const unknownCases: readonly Case[] = [
  {
    name: '4 unknown is not no: an attempt whose answer was lost is neither doubled nor left behind',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, other] = [await stage.engine({ wire }), await stage.engine()];
      const key = stage.key();
      let toLose = 1;
      wire.ask = async (question, send) => {
        const answer = await send();
        if (question === 'attempt' && toLose-- > 0) throw lost;
        return answer;
      };
      const outcome = await engine.acquire(key, { ttl: LONG, wait: 3_000 }).catch((error: unknown) => error);
      if (outcome instanceof Error) assert(outcome instanceof LockBackendError, String(outcome));
      else assert.equal(await (outcome as Lock).release(), true); // acquire gives a Lock or throws an Error
      // Nobody answers any more: the attempt was granted, or stands in line, and is given up.
      const mute = stage.key();
      toLose = Infinity;
      await assert.rejects(engine.acquire(mute, { ttl: LONG, wait: 300 }), LockError);
      wire.heal();
      for (const free of [key, mute]) {
        const next = await within(
          5_000 + SLACK,
          'free long before its lease would have ended',
          other.acquire(free, { ttl: LONG, wait: LONG }),
        );
        await next.release();
      }
      await stage.assertNoResidue(key, mute);
    },
  },
  {
    name: '4 unknown is not no: an attempt that arrives after it was given up is withdrawn, of one key and of several',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, other] = [await stage.engine({ wire, callTimeout: 200 }), await stage.engine()];
      const sets = [[stage.key()], [stage.key('a'), stage.key('b')]];
      const arrived: Promise<unknown>[] = [];
      wire.ask = async (question, send) => {
        if (question !== 'attempt' && question !== 'attemptAll') return send();
        const late = sleep(600).then(send);
        arrived.push(late);
        return late;
      };
      for (const keys of sets) await assert.rejects(engine.acquire(keys, { wait: 0, ttl: LONG }), LockBackendError);
      await Promise.all(arrived);
      wire.heal();
      for (const keys of sets) {
        const next = await within(
          5_000,
          'free long before its lease would have ended',
          other.acquire(keys, { ttl: LONG, wait: LONG }),
        );
        await next.release();
      }
    },
  },
  {
    name: '4 unknown is not no: a release whose answer or request was lost is repeated, and never frees a successor',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, other] = [await stage.engine({ wire }), await stage.engine()];
      const recorder = new Recorder([engine, other]);
      for (const arrives of [true, false]) {
        const key = stage.key();
        const lock = await engine.acquire(key, { ttl: LONG });
        const unknown = nextEvent(engine, (event) => event.type === 'release-unknown' && event.key === key);
        wire.ask = async (question, send) => {
          if (question !== 'release') return send();
          if (arrives) await send();
          throw lost;
        };
        const left = lock.release();
        await within(5_000, 'an event says that it is not known', unknown);
        await within(10_000, 'release() ends', left);
        wire.heal();
        const successor = recorder.hold(other, key, { ttl: LONG, wait: LONG }, async (held) => {
          await sleep(500);
          assert.equal((await stage.observer.backend.inspect(stage.fullKey(key))).holders[0]?.owner, held.owner);
        });
        await within(10_000, 'free long before its lease would have ended', successor);
        await stage.assertNoResidue(key);
      }
    },
  },
  {
    name: '5 fencing: tokens of a key grow with each new owner over release, expiry and theft, and stay on re-entry',
    patient: true,
    async run(stage) {
      const wire = new Wire();
      const [engine, dying] = [await stage.engine(), await stage.engine({ wire })];
      const key = stage.key();
      const tokens: (bigint | undefined)[] = [];
      const next = async (from = engine, ttl = LONG) => {
        const lock = await from.acquire(key, { ttl, wait: LONG });
        tokens.push(lock.fencingToken);
        assert.equal(lock.fencingTokens.get(key), lock.fencingToken);
        return lock;
      };
      for (let i = 0; i < 3; i++) await (await next()).release();
      const early = await next(dying, stage.ttl);
      wire.freeze();
      const successor = await next();
      assert.equal(early.fencingToken, tokens.at(-2), 'on the handle for good');
      await engine.forceRelease(key);
      await (await next()).release();
      assert.equal(await successor.release(), false);
      await engine.withLock(
        key,
        (outer) => {
          tokens.push(outer.fencingToken);
          return engine.withLock(key, (inner) => assert.equal(inner.fencingToken, outer.fencingToken), {
            reentrant: true,
          });
        },
        { reentrant: true },
      );
      if (!stage.traits.fencing)
        return assert(
          tokens.every((token) => token === undefined),
          'no trait, no token',
        );
      for (const [index, token] of tokens.entries()) {
        const before = tokens[index - 1];
        assert(token !== undefined);
        if (index > 0) assert(before !== undefined && token > before, `token ${token} after ${before}`);
      }
    },
  },
];
