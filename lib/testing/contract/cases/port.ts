import { strict as assert } from 'node:assert';
import { SessionEndedError } from '../../../backends/backend.js';
import type { Case } from '../case.js';
import { eventually, sleep, SLACK, within } from '../patience.js';
import { LONG, type Stage } from '../stage.js';
import type { Port, Wish } from '../wish.js';

/** A holder in one process, and others behind it in order, each in a process of its own. */
async function line(
  stage: Stage,
  waiters: number,
  options: Parameters<Port['wish']>[1] = {},
): Promise<[Wish, ...Wish[]]> {
  const key = stage.key();
  const holder = await (await stage.port()).wish(key, { ttl: LONG, ...options });
  assert.equal((await holder.join()).granted, true);
  const behind: Wish[] = [];
  for (let i = 0; i < waiters; i++) {
    const wish = await (await stage.port()).wish(key, { ttl: LONG, ...options });
    assert.equal((await wish.join()).granted, false);
    behind.push(wish);
  }
  return [holder, ...behind];
}

const granted = (wish: Wish | undefined, what = 'the next in line is granted') => {
  assert(wish);
  return within(PROMPT, what, wish.granted());
};
const PROMPT = 5_000;

/** The verbs by themselves: each answers one question, and the same question again changes nothing. */
export const portCases: readonly Case[] = [
  {
    name: 'answers a ping',
    run: async ({ observer }) => observer.backend.ping(),
  },
  {
    name: 'grants a free key and names its holder to the next',
    async run(stage) {
      const [holder] = await line(stage, 0);
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
        const [holder] = await line(stage, 0, kind);
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
      const [holder, next] = await line(stage, 1);
      assert.equal(await holder.release(), true);
      await granted(next);
      assert.equal(await holder.release(), false);
      assert.equal(await next?.holds(), true);
    },
  },
  {
    name: 'a renewal sent again gives the same answer, and none by who holds nothing',
    async run(stage) {
      const [holder, waiter] = await line(stage, 1);
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
      const [holder] = await line(stage, 0, { ttl: stage.ttl });
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
  {
    name: 'asking without a waiter never joins the line',
    async run(stage) {
      const [holder] = await line(stage, 0);
      const passer = await (await stage.port()).wish(holder.claim.key);
      assert.equal((await passer.attempt()).granted, false);
      assert.equal((await stage.observer.backend.inspect(holder.claim.key)).waiting, 0);
      await holder.release();
      assert.equal(await passer.holds(), false);
    },
  },
  {
    name: 'the failed attempt itself joins the line, and the release itself pushes the grant',
    async run(stage) {
      const [holder, next] = await line(stage, 1);
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
      const [holder, first, second] = await line(stage, 2);
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
      const [holder, next] = await line(stage, 1);
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
      const [holder, first, second] = await line(stage, 2);
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
      const [holder, next] = await line(stage, 1);
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
  {
    name: 'inspect tells who holds, for how long, and how many wait; of a free key that it is free',
    async run(stage) {
      const [holder] = await line(stage, 2);
      const state = await stage.observer.backend.inspect(holder.claim.key);
      assert.equal(state.mode, 'exclusive');
      assert.equal(state.limit, 1);
      assert.equal(state.waiting, stage.traits.fifo ? 2 : 0);
      assert.equal(state.holders.length, 1);
      assert.equal(state.holders[0]?.owner, holder.owner);
      const remaining = state.holders[0]?.remainingMs ?? 0;
      assert(remaining > 0 && remaining <= LONG + 1_000, `${remaining} ms left of ${LONG}`);
      const free = await stage.observer.backend.inspect(stage.key());
      assert.deepEqual([free.holders, free.waiting], [[], 0]);
    },
  },
  {
    name: 'a forced release takes the key from its holder, serves the line, and says whether there was a holder',
    async run(stage) {
      const [first, holder, next] = await line(stage, 2);
      assert(holder);
      await first.release();
      await granted(holder);
      // A server that can reach waiters can reach a holder that was one.
      const told = new Promise<string>((resolve) => holder.backend.onLost?.(resolve));
      assert.equal(await stage.observer.backend.forceRelease(holder.claim.key), true);
      await granted(next);
      assert.equal(await holder.holds(), false);
      if (holder.backend.family === 'key') assert.equal(await holder.renew(), false);
      if (holder.backend.onLost) assert.equal(await within(PROMPT, 'the holder is told', told), holder.owner);
      assert.equal(await stage.observer.backend.forceRelease(stage.key()), false);
    },
  },
  {
    name: 'several keys are taken in one step, all or none, and without a line',
    async run(stage) {
      const port = await stage.port();
      if (!port.backend.attemptAll) return;
      // What is between braces is what a server of several parts puts keys into one of them by.
      const [first, second, third] = ['a', 'b', 'c'].map((label) => stage.key(`${label}{together}`)) as [
        string,
        string,
        string,
      ];
      const busy = await (await stage.port()).wish(second, { ttl: LONG });
      assert.equal((await busy.join()).granted, true);
      const all = await port.wishAll([first, second, third], LONG);
      const refused = await all.attempt();
      assert('granted' in refused && !refused.granted);
      for (const { key } of all.claims) {
        const { holders, waiting } = await stage.observer.backend.inspect(key);
        assert.deepEqual([holders.map(({ owner }) => owner), waiting], [key === second ? [busy.owner] : [], 0]);
      }
      await busy.release();
      const [once, again] = [await all.attempt(), await all.attempt()];
      assert(!('granted' in once) && !('granted' in again));
      assert.deepEqual(
        again.map(({ fencingToken }) => fencingToken),
        once.map(({ fencingToken }) => fencingToken),
      );
      assert.equal(once.length, 3);
      for (const claim of all.claims) {
        const { holders } = await stage.observer.backend.inspect(claim.key);
        assert.deepEqual(
          holders.map(({ owner }) => owner),
          [claim.owner],
        );
        assert.equal(await all.release(claim), true);
      }
    },
  },
  {
    name: 'a session that has ended is told apart from a lock that was lost',
    async run(stage) {
      const { backend } = await stage.port();
      if (backend.family !== 'session') return;
      const session = await backend.open(LONG);
      assert(session.ttl > 0);
      assert.equal(await session.renew(), true);
      const claim = {
        key: stage.key(),
        owner: 'contract-ended:1',
        mode: 'exclusive',
        limit: 1,
        ttl: LONG,
        claimTtl: LONG,
      } as const;
      assert.equal((await backend.attempt(claim, session)).granted, true);
      await session.end();
      assert.equal(await session.renew(), false);
      assert.deepEqual((await backend.inspect(claim.key)).holders, [], 'what hung from the session is gone');
      await assert.rejects(backend.attempt({ ...claim, owner: 'contract-ended:2' }, session), SessionEndedError);
    },
  },
];

/** A session backend may also say that the whole session is gone. */
function endedSession(error: unknown): false {
  if (error instanceof SessionEndedError) return false;
  throw error;
}
