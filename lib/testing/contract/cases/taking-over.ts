import { strict as assert } from 'node:assert';
import { MOST_UNCONFIRMED } from '../../../backends/backend.js';
import type { LockEngine } from '../../../engine/engine.js';
import type { Case } from '../case.js';
import { eventually, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, nextEvent, type Stage } from '../stage.js';
import type { Wish } from '../wish.js';

const PROMPT = 5_000;

/** Several wishes of one process for one key: the first holds it, the others stand in line behind it. */
async function queue(stage: Stage, count: number): Promise<{ wishes: Wish[]; token: bigint }> {
  const port = await stage.port();
  const key = stage.key();
  const wishes: Wish[] = [];
  for (let i = 0; i < count; i++) wishes.push(await port.wish(key, { ttl: LONG }));
  const answers = [];
  for (const wish of wishes) answers.push(await wish.join());
  const [first] = answers;
  assert(first?.granted && first.fencingToken !== undefined);
  return { wishes, token: first.fencingToken };
}

const pick = (wishes: readonly Wish[], index: number): Wish => {
  const wish = wishes[index];
  assert(wish);
  return wish;
};

/** A case for the backends where a key can go from hand to hand inside of a process. */
const where = (name: string, run: (stage: Stage) => Promise<void>): Case => ({
  name,
  async run(stage) {
    const { backend } = stage.observer;
    if (backend.family === 'key' && backend.handOver) await run(stage);
  },
});

/** A key that goes from one owner to another inside of a process, as the server hears of it. */
export const takingOverCases: readonly Case[] = [
  where('says who stands directly ahead: the holder, or another one in line', async (stage) => {
    const [port, other] = [await stage.port(), await stage.port()];
    const key = stage.key();
    const [holder, first] = [await port.wish(key, { ttl: LONG }), await port.wish(key, { ttl: LONG })];
    const second = await other.wish(key, { ttl: LONG });
    assert.equal((await holder.join()).granted, true);
    const answers = [await first.join(), await second.join(), await first.join(), await second.join()];
    assert.deepEqual(
      answers.map((answer) => 'ahead' in answer && answer.ahead),
      [holder.owner, first.owner, holder.owner, first.owner],
    );
    const without = await (await stage.port()).wish(key);
    const answer = await without.attempt();
    assert(!('ahead' in answer) || answer.ahead === undefined, 'who is not in line has nobody ahead');
  }),
  where('the new owner holds it from now on, and the old one nothing; said again it changes nothing', async (stage) => {
    const { wishes, token } = await queue(stage, 2);
    const [old, next] = [pick(wishes, 0), pick(wishes, 1)];
    const behind = await (await stage.port()).wish(old.claim.key, { ttl: LONG });
    assert.equal((await behind.join()).granted, false);
    for (let times = 0; times < 2; times++) {
      assert.equal(await next.takeOver([old], token + 1n), 'held');
      const { holders, waiting } = await stage.observer.backend.inspect(old.claim.key);
      assert.deepEqual(
        holders.map(({ owner, fencingToken }) => [owner, fencingToken]),
        [[next.owner, token + 1n]],
      );
      assert.equal(waiting, 1);
    }
    assert.equal(await old.release(), false);
    assert.equal(await old.renew(), false);
    assert.equal(await next.renew(), true);
    assert.equal(await next.release(), true);
    const granted = await within(PROMPT, 'whoever is behind them is served', behind.granted());
    assert(granted.fencingToken !== undefined);
    assert(granted.fencingToken > token + BigInt(MOST_UNCONFIRMED), 'above all that the process could give itself');
  }),
  where('it renews', async (stage) => {
    const port = await stage.port();
    const key = stage.key();
    const [old, next] = [await port.wish(key, { ttl: 1_000 }), await port.wish(key, { ttl: LONG })];
    const answer = await old.join();
    assert(answer.granted && answer.fencingToken !== undefined);
    await next.join();
    assert.equal(await next.takeOver([old], answer.fencingToken + 1n), 'held');
    const [holder] = (await stage.observer.backend.inspect(key)).holders;
    assert(holder && holder.remainingMs > LONG / 2, String(holder?.remainingMs));
  }),
  where('calls on the way that were lost are made up for by the next, and late ones change nothing', async (stage) => {
    const { wishes, token } = await queue(stage, 4);
    const [first, second, third, fourth] = [0, 1, 2, 3].map((index) => pick(wishes, index)) as [Wish, Wish, Wish, Wish];
    assert.equal(await third.takeOver([first, second], token + 2n), 'held');
    const { holders, waiting } = await stage.observer.backend.inspect(first.claim.key);
    assert.deepEqual([holders.map(({ owner }) => owner), waiting], [[third.owner], 1]);
    assert.equal(await second.takeOver([first], token + 1n), 'gone');
    assert.equal(await third.holds(), true);
    assert.equal(await third.release(), true);
    await within(PROMPT, 'the next in line is served', fourth.granted());
    assert.equal(await third.takeOver([first, second], token + 2n), 'gone', 'a released lock is not revived');
    assert.equal(await fourth.holds(), true);
  }),
  where(
    'a release that says who had it before counts for them as well, whatever the server has heard',
    async (stage) => {
      for (const keepMs of [0, 300]) {
        const { wishes, token } = await queue(stage, 4);
        const [first, second, third, fourth] = [0, 1, 2, 3].map((index) => pick(wishes, index)) as [
          Wish,
          Wish,
          Wish,
          Wish,
        ];
        assert.equal(await third.release(keepMs, [first, second]), true);
        await eventually(
          'the next in line is served, and none of them',
          async () => (await fourth.join()).granted,
          PROMPT,
        );
        assert.equal((await stage.observer.backend.inspect(first.claim.key)).waiting, 0);
        assert.equal(await second.takeOver([first], token + 1n), 'gone', 'what was on its way finds nothing');
        assert.equal(await third.release(keepMs, [first, second]), false, 'said again it is none of theirs');
        assert.equal(await fourth.holds(), true);
      }
    },
  ),
  where('where it was none of theirs, nobody gets it, and none of them stands in line any more', async (stage) => {
    const { wishes, token } = await queue(stage, 3);
    const [first, second, third] = [0, 1, 2].map((index) => pick(wishes, index)) as [Wish, Wish, Wish];
    assert.equal(await third.takeOver([second], token + 1n), 'gone');
    assert.equal(await first.holds(), true);
    assert.equal((await stage.observer.backend.inspect(first.claim.key)).waiting, 0);
    const reader = await (await stage.port()).wish(stage.key(), { mode: 'shared', ttl: LONG });
    if (!stage.traits.modes.includes('shared')) return;
    const answer = await reader.join();
    assert(answer.granted && answer.fencingToken !== undefined);
    const writer = await (await stage.port()).wish(reader.claim.key, { ttl: LONG });
    await writer.join();
    assert.equal(await writer.takeOver([reader], answer.fencingToken + 1n), 'gone', 'others may hold it as well');
    assert.equal(await reader.holds(), true);
  }),
  where('whoever overtakes others is told so, and they are served next', async (stage) => {
    const port = await stage.port();
    const key = stage.key();
    const [holder, late] = [await port.wish(key, { ttl: LONG }), await port.wish(key, { ttl: LONG })];
    const other = await (await stage.port()).wish(key, { ttl: LONG });
    const answer = await holder.join();
    assert(answer.granted && answer.fencingToken !== undefined);
    await other.join();
    await late.join();
    assert.equal(await late.takeOver([holder], answer.fencingToken + 1n), 'overtaking');
    assert.equal(await late.release(), true);
    await within(PROMPT, 'the one who was overtaken is served', other.granted());
  }),
  where(
    'those who asked for `fair: false` are served out of turn, and the one who was overtaken after them',
    async (stage) => {
      const key = stage.key();
      const [engine, other] = (await stage.engines(2)) as [LockEngine, LockEngine];
      const recorder = new Recorder([engine, other]);
      const options = { ttl: LONG, wait: LONG, fair: false };
      const held = await engine.acquire(key, options);
      const served: string[] = [];
      const all: Promise<void>[] = [];
      for (const [name, one] of [
        ['other', other],
        ...Array.from({ length: 12 }, () => ['own', engine] as const),
      ] as const) {
        const stands = nextEvent(one, (event) => event.type === 'waiting');
        all.push(recorder.hold(one, key, options, async () => void served.push(name)));
        await within(PROMPT, 'it stands in line', stands);
      }
      await held.release();
      await within(PROMPT, 'all are served', Promise.all(all));
      assert.deepEqual(served, [...Array.from({ length: 12 }, () => 'own'), 'other']);
      stage.assertCorrect(recorder, { fifo: false });
      await stage.assertNoResidue(key);
    },
  ),
];
