import { strict as assert } from 'node:assert';
import type { Case } from '../case.js';
import { deferred, eventually, sleep, SLACK, together, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { assertRefused, LONG, loss, nextEvent, type Stage, standInLine } from '../stage.js';
import { pick } from './mutex.js';

const reading = { mode: 'shared', ttl: LONG, wait: LONG } as const;
const writing = { mode: 'exclusive', ttl: LONG, wait: LONG } as const;

const cases: readonly Case[] = [
  {
    name: 'readers are in together, writers alone',
    async run(stage) {
      const [one, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const meeting = together(6, (reader) => pick([one, other], reader).acquire(key, reading));
      const readers = await within(5_000, 'all readers are in', meeting);
      assert(readers.every((reader) => reader.held && reader.mode === 'shared'));
      const info = await one.inspect(key);
      assert.deepEqual([info.mode, info.holders.length], ['shared', 6]);
      assert.equal(await other.tryAcquire(key), null, 'no writer beside readers');
      for (const reader of readers) assert.equal(await reader.release(), true);
      const writer = await other.tryAcquire(key);
      assert(writer);
      assert.equal(await one.tryAcquire(key, { mode: 'shared' }), null, 'no reader beside a writer');
      await writer.release();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'twenty readers finish with one writer in the middle, in arrival order, and each run of readers is let in at once',
    async run(stage) {
      if (!stage.traits.fifo) return;
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const key = stage.key();
      const gate = await pick(engines, 0).acquire(key, writing);
      const order: string[] = [];
      const all: Promise<void>[] = [];
      // The readers of a run leave when the whole run is in: let in one by one they would wait for ever.
      const runs = [
        { inside: 0, full: deferred() },
        { inside: 0, full: deferred() },
      ];
      for (let place = 0; place < 21; place++) {
        const engine = pick(engines, place);
        const stands = nextEvent(engine, (event) => event.type === 'waiting');
        const run = place === 10 ? undefined : runs[place < 10 ? 0 : 1];
        all.push(
          recorder.hold(engine, key, run ? reading : writing, async () => {
            order.push(run ? `run ${runs.indexOf(run)}` : 'writer');
            if (!run) return sleep(20);
            if (++run.inside === 10) run.full.resolve();
            await run.full.promise;
          }),
        );
        await within(5_000, `${place} stands in line`, stands);
      }
      await gate.release();
      await within(10_000, 'all are served', Promise.all(all));
      assert.deepEqual(order, [...Array<string>(10).fill('run 0'), 'writer', ...Array<string>(10).fill('run 1')]);
      stage.assertCorrect(recorder);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'a waiting writer is not overtaken by readers who come later, however many loop',
    async run(stage) {
      if (!stage.traits.fifo) return;
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const key = stage.key();
      let over = false;
      const loop = together(9, async (reader) => {
        while (!over) await recorder.hold(pick(engines, reader), key, reading, () => sleep(reader + 1));
      });
      await sleep(20);
      for (let round = 0; round < 5; round++) {
        await within(
          SLACK,
          'the writer is in',
          recorder.hold(pick(engines, round), key, writing, () => sleep(2)),
        );
      }
      over = true;
      await loop;
      stage.assertCorrect(recorder);
    },
  },
  {
    name: 'downgrade lets the waiting readers in at once, keeps writers out, and keeps the token',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      if (!stage.observer.backend.downgrade) return;
      const key = stage.key();
      const lock = await engine.acquire(key, writing);
      const token = lock.fencingToken;
      const waiting = [await standInLine(other, key, reading), await standInLine(engine, key, reading)];
      await lock.downgrade();
      const readers = await within(
        500 + 4 * stage.rtt,
        'the readers are in',
        Promise.all(waiting.map(({ lock: reader }) => reader)),
      );
      assert.equal(lock.mode, 'shared');
      assert.equal(lock.fencingToken, token);
      assert.equal(lock.held, true);
      assert.equal(await other.tryAcquire(key), null, 'a writer stays out');
      const writer = await standInLine(other, key, writing);
      for (const reader of [lock, ...readers]) assert.equal(await reader.release(), true);
      await (await within(SLACK, 'the writer is in', writer.lock)).release();
      await stage.assertNoResidue(key);
    },
  },
  {
    name: 'a downgraded lock is renewed like any other, and a writer in line still comes before later readers',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      if (!stage.observer.backend.downgrade) return;
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: stage.ttl });
      const writer = await standInLine(other, key, writing);
      await lock.downgrade();
      if (stage.traits.fifo) assert.equal(await engine.tryAcquire(key, { mode: 'shared' }), null);
      await sleep(stage.ttl * 2);
      assert.equal(lock.held, true);
      assert.equal(await lock.release(), true);
      await (await within(SLACK, 'the writer is in', writer.lock)).release();
    },
  },
  {
    name: 'a dead reader is not kept alive by the renewals of the others',
    patient: true,
    async run(stage) {
      const key = stage.key();
      const ports = [await stage.port(), await stage.port(), await stage.port()];
      const [dead, live, writer] = await Promise.all([
        pick(ports, 0).wish(key, { mode: 'shared', ttl: stage.ttl }),
        pick(ports, 1).wish(key, { mode: 'shared', ttl: stage.ttl }),
        pick(ports, 2).wish(key, { ttl: LONG }),
      ]);
      assert((await dead.attempt()).granted && (await live.attempt()).granted);
      await eventually(
        'only the live reader is left',
        async () => {
          assert.equal(await live.renew(), true);
          assert.equal(await live.holds(), true);
          return !(await dead.isLeft());
        },
        stage.ttl + SLACK,
      );
      assert.equal((await writer.attempt()).granted, false);
      await live.release();
      assert.equal((await writer.attempt()).granted, true, 'the dead reader keeps nobody out');
    },
  },
  {
    name: 'the loss of one reader is told to that one alone',
    patient: true,
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const mortal = await engine.acquire(key, { mode: 'shared', ttl: stage.ttl, renew: false });
      const kept = await other.acquire(key, { mode: 'shared', ttl: stage.ttl });
      await within(stage.ttl + SLACK, 'the loss is told', loss(mortal));
      await sleep(stage.ttl);
      assert.equal(kept.held, true);
      assert.equal(await other.tryAcquire(key), null);
      assert.equal(await kept.release(), true);
      assert.equal(await (await engine.tryAcquire(key))?.release(), true);
    },
  },
];

/** Readers and writers, on a backend that has them. One that has not says so. */
export const readersWritersCases: readonly Case[] = cases.map((one) => ({
  ...one,
  run: (stage) => (stage.traits.modes.includes('shared') ? one.run(stage) : refused(stage)),
}));

async function refused(stage: Stage): Promise<void> {
  const engine = await stage.engine();
  await assertRefused(engine.acquire(stage.key(), { mode: 'shared' }), 'shared');
}
