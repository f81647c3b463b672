import { strict as assert } from 'node:assert';
import type { Case } from '../case.js';
import { endedSession, granted, lineOf } from '../line-of.js';
import { eventually, SLACK } from '../patience.js';
import { LONG } from '../stage.js';

/** The line of waiters, as the verbs see it. */
export const portLineCases: readonly Case[] = [
  {
    name: 'asking without a waiter never joins the line',
    async run(stage) {
      const [holder] = await lineOf(stage, 0);
      const passer = await (await stage.port()).wish(holder.claim.key);
      assert.equal((await passer.attempt()).granted, false);
      assert.equal((await stage.observer.backend.inspect(holder.claim.key)).waiting, 0);
      await holder.release();
      // One of several servers may give its vote to a question that it reads only now, which is taken back.
      await eventually('it does not hold', async () => !(await passer.holds()));
    },
  },
  {
    name: 'the failed attempt itself joins the line, and the release itself pushes the grant',
    async run(stage) {
      const [holder, next] = await lineOf(stage, 1);
      const { waiting } = await stage.observer.backend.inspect(holder.claim.key);
      assert.equal(waiting, stage.traits.fifo ? 1 : 0, 'the line is what the trait `fifo` says');
      assert.equal(await holder.release(), true);
      const grant = await granted(next);
      const { holders } = await stage.observer.backend.inspect(holder.claim.key);
      assert.deepEqual(
        holders.map((one) => [one.owner, one.fencingToken]),
        [[next?.owner, grant.fencingToken]],
      );
    },
  },
  {
    name: 'asking again keeps the place in line',
    async run(stage) {
      if (!stage.traits.fifo) return;
      const [holder, first, second] = await lineOf(stage, 2);
      for (let i = 0; i < 3; i++) assert.equal((await first?.join())?.granted, false);
      assert.equal((await stage.observer.backend.inspect(holder.claim.key)).waiting, 2, 'nobody stands in line twice');
      await holder.release();
      await granted(first);
      assert.equal(await second?.holds(), false);
    },
  },
  {
    name: 'asking again tells the truth about a grant that was missed',
    async run(stage) {
      const [holder, next] = await lineOf(stage, 1);
      await holder.release();
      const pushed = await granted(next);
      const asked = await next?.join();
      assert(asked?.granted);
      assert.equal(asked.fencingToken, pushed.fencingToken);
    },
  },
  {
    name: 'a release by one who waits leaves the line, and the one behind is served',
    async run(stage) {
      const [holder, first, second] = await lineOf(stage, 2);
      assert.equal(await first?.release(), false);
      await eventually('one waits', async () => {
        return (await stage.observer.backend.inspect(holder.claim.key)).waiting === (stage.traits.fifo ? 1 : 0);
      });
      await holder.release();
      await granted(second);
      assert.equal(await first?.holds(), false);
    },
  },
  {
    name: 'one that was granted by push and stays silent holds up the next for its claim time at most',
    patient: true,
    async run(stage) {
      if (!stage.traits.fifo) return;
      const key = stage.key();
      const session = stage.observer.backend.family === 'session';
      const [holder, frozen, next] = await Promise.all(
        [LONG, session ? stage.ttl : LONG, LONG].map(async (ttl) =>
          (await stage.port()).wish(key, { ttl, claimTtl: stage.ttl }),
        ),
      );
      assert(holder && frozen && next);
      for (const wish of [holder, frozen, next]) await wish.join();
      await holder.release();
      await eventually('the next one is granted', async () => (await next.join()).granted, stage.ttl * 2 + SLACK);
    },
  },
  {
    name: 'with keepMs nobody gets the key before that time is over, and then the first in line does',
    patient: true,
    async run(stage) {
      // The engine never asks for it then.
      if (stage.traits.minHold === false) return;
      const [holder, next] = await lineOf(stage, 1);
      const keepMs = stage.ttl;
      const sent = performance.now();
      assert.equal(await holder.release(keepMs), true);
      const passer = await (await stage.port()).wish(holder.claim.key);
      assert.equal((await passer.attempt()).granted, false);
      assert.notEqual(await holder.release().catch(endedSession), true, 'the owner has let go already');
      assert(next);
      // The engine looks when the server said it should, and so does this.
      await eventually('the next one is granted', async () => (await next.join()).granted, keepMs + SLACK);
      const kept = performance.now() - sent;
      assert(kept >= keepMs, `kept for ${kept} ms and not for ${keepMs}`);
    },
  },
];
