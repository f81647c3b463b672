import { strict as assert } from 'node:assert';
import { SessionEndedError } from '../../../backends/backend.js';
import type { Case } from '../case.js';
import { granted, lineOf, PROMPT } from '../line-of.js';
import { within } from '../patience.js';
import { LONG } from '../stage.js';

/** What is asked of a key or a session as a whole. */
export const portStateCases: readonly Case[] = [
  {
    name: 'inspect tells who holds, for how long, and how many wait; of a free key that it is free',
    async run(stage) {
      const [holder] = await lineOf(stage, 2);
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
      const [first, holder, next] = await lineOf(stage, 2);
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
