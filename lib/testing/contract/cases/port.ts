import { strict as assert } from 'node:assert';
import type { Case } from '../case.js';
import { endedSession, granted, lineOf } from '../line-of.js';
import { eventually, sleep, SLACK } from '../patience.js';
import { LONG } from '../stage.js';

/** The verbs by themselves: each answers one question, and the same question again changes nothing. */
export const portCases: readonly Case[] = [
  {
    name: 'answers a ping',
    run: async ({ observer }) => observer.backend.ping(),
  },
  {
    name: 'grants a free key and names its holder to the next',
    async run(stage) {
      const [holder] = await lineOf(stage, 0);
      const next = await (await stage.port()).wish(holder.claim.key);
      const answer = await next.attempt();
      assert(!answer.granted && !('limit' in answer));
      if (answer.holder !== undefined) assert.equal(answer.holder, holder.owner);
      if (answer.retryAfterMs !== undefined)
        assert(answer.retryAfterMs > 0 && answer.retryAfterMs <= LONG + 1_000, String(answer.retryAfterMs));
    },
  },
  {
    name: 'an attempt sent again by its owner gives the same grant, and takes nothing twice',
    async run(stage) {
      for (const kind of [{}, { mode: 'shared' }, { limit: 5 }] as const) {
        if ('limit' in kind ? !stage.traits.semaphores : !stage.traits.modes.includes(kind.mode ?? 'exclusive'))
          continue;
        const [holder] = await lineOf(stage, 0, kind);
        const [first, again] = [await holder.attempt(), await holder.join()];
        assert(first.granted && again.granted);
        assert.equal(first.fencingToken, again.fencingToken);
        const { holders } = await holder.backend.inspect(holder.claim.key);
        assert.deepEqual(
          holders.map((one) => one.owner),
          [holder.owner],
        );
        assert.equal(holders[0]?.fencingToken, first.fencingToken, 'inspect knows the token');
        assert.equal(await holder.release(), true);
        assert.equal(await holder.holds(), false, 'one release ends it');
      }
    },
  },
  {
    name: 'a release sent again says no and changes nothing',
    async run(stage) {
      const [holder, next] = await lineOf(stage, 1);
      assert.equal(await holder.release(), true);
      await granted(next);
      assert.equal(await holder.release(), false);
      assert.equal(await next?.holds(), true);
    },
  },
  {
    name: 'a renewal sent again gives the same answer, and none by who holds nothing',
    async run(stage) {
      const [holder, waiter] = await lineOf(stage, 1);
      assert.deepEqual([await holder.renew(), await holder.renew()], [true, true]);
      if (holder.backend.family === 'key') assert.equal(await waiter?.renew(), false, 'waiting is not holding');
      await holder.release();
      await granted(waiter);
      if (holder.backend.family === 'key') assert.equal(await holder.renew(), false, 'a released lock is not revived');
      assert.equal(await waiter?.holds(), true);
      assert.equal(await holder.holds(), false);
    },
  },
  {
    name: 'a downgrade sent again says yes, and the token stays',
    async run(stage) {
      if (!stage.observer.backend.downgrade) return;
      const [holder] = await lineOf(stage, 0);
      const { holders } = await stage.observer.backend.inspect(holder.claim.key);
      assert.deepEqual([await holder.downgrade(), await holder.downgrade()], [true, true]);
      const state = await stage.observer.backend.inspect(holder.claim.key);
      assert.equal(state.mode, 'shared');
      assert.deepEqual(
        state.holders.map(({ owner, fencingToken }) => ({ owner, fencingToken })),
        holders.map(({ owner, fencingToken }) => ({ owner, fencingToken })),
      );
      assert.equal(await holder.release(), true);
      assert.equal(await holder.holds(), false, 'one release ends it');
    },
  },
  {
    name: 'renewing many tells of each by itself: one lost among many, and one that waits',
    async run(stage) {
      const port = await stage.port();
      const wishes = await Promise.all(Array.from({ length: 8 }, () => port.wish(stage.key(), { ttl: LONG })));
      for (const wish of wishes) assert.equal((await wish.join()).granted, true);
      const lost = wishes[3];
      assert(lost);
      await stage.observer.backend.forceRelease(lost.claim.key);
      if (port.backend.family === 'key') {
        assert.deepEqual(await port.backend.renew([]), []);
        const answers = await port.backend.renew(wishes.map((wish) => wish.claim));
        assert.deepEqual(
          answers,
          wishes.map((wish) => wish !== lost),
        );
      }
      for (const wish of wishes) assert.equal(await wish.holds(), wish !== lost);
    },
  },
  {
    name: 'a late release of an old owner never frees its successor',
    patient: true,
    async run(stage) {
      const key = stage.key();
      const [old, next] = [await (await stage.port()).wish(key), await (await stage.port()).wish(key, { ttl: LONG })];
      assert.equal((await old.attempt()).granted, true);
      await eventually('the silent holder is gone', async () => (await next.attempt()).granted, stage.ttl + SLACK);
      assert.notEqual(await old.release().catch(endedSession), true);
      if (old.backend.downgrade) assert.notEqual(await old.downgrade().catch(endedSession), true);
      assert.equal(await next.holds(), true);
      assert.equal((await stage.observer.backend.inspect(key)).mode, 'exclusive');
    },
  },
  {
    name: 'a lease lasts as long as was asked for, also the shortest, and its end lets the next one in',
    patient: true,
    async run(stage) {
      const lasts = async (ttl: number) => {
        const [port, next] = [await stage.port(), await stage.port()];
        const sent = performance.now();
        const holder = await port.wish(stage.key(), { ttl });
        assert.equal((await holder.attempt()).granted, true);
        const other = await next.wish(holder.claim.key, { ttl: LONG });
        while (!(await other.attempt()).granted) await sleep(5);
        const lasted = performance.now() - sent;
        assert(lasted >= ttl, `a lease of ${ttl} ms ended after ${lasted} ms`);
        assert(lasted <= ttl + SLACK, `a lease of ${ttl} ms ended after ${lasted} ms`);
      };
      await Promise.all([stage.traits.minTtl, stage.ttl].map(lasts));
    },
  },
  {
    name: 'a renewal starts the lease anew',
    patient: true,
    async run(stage) {
      const [holder] = await lineOf(stage, 0, { ttl: stage.ttl });
      for (let i = 0; i < 4; i++) {
        await sleep(stage.ttl / 3);
        assert.equal(await holder.renew(), true);
      }
      assert.equal(await holder.holds(), true);
      const { holders } = await holder.backend.inspect(holder.claim.key);
      const remaining = holders[0]?.remainingMs ?? 0;
      assert(remaining > 0 && remaining <= stage.ttl + 1_000, `${remaining} ms left of ${stage.ttl}`);
    },
  },
];
