import { strict as assert } from 'node:assert';
import { LockConfigurationError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { sleep, within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, nextEvent, standInLine } from '../stage.js';
import { Wire } from '../wire.js';
import { pick } from './mutex.js';

/** Many at one door. */
export const crowdCases: readonly Case[] = [
  {
    name: 'five hundred waiters with a short hold are all served, in the order in which they came',
    async run(stage) {
      const engines = await stage.engines(3);
      const recorder = new Recorder(engines);
      const key = stage.key();
      const gate = await pick(engines, 0).acquire(key, { ttl: LONG });
      const served: number[] = [];
      const all: Promise<void>[] = [];
      for (let place = 0; place < 500; place++) {
        const engine = pick(engines, place);
        const stands = nextEvent(engine, (event) => event.type === 'waiting');
        all.push(recorder.hold(engine, key, { ttl: LONG, wait: LONG }, async () => void served.push(place)));
        await within(5_000, `${place} stands in line`, stands);
      }
      await gate.release();
      await within(25_000, 'all are served', Promise.all(all));
      assert.equal(served.length, 500);
      if (stage.traits.fifo)
        assert.deepEqual(
          served,
          Array.from({ length: 500 }, (_, place) => place),
        );
      stage.assertCorrect(recorder);
      await stage.assertNoResidue(key);
    },
  },
  {
    name: '7 no residue: a line in which all are dead keeps out nobody, not even one who asks for another kind of lock or for several keys',
    background: true,
    async run(stage) {
      const engine = await stage.engine();
      const keys = [stage.key('set'), stage.key('kind'), stage.key('look')];
      const [set = '', kind = '', look = ''] = keys;
      for (const key of keys) {
        const wires = [new Wire(), new Wire()];
        const [holder, waiter] = await Promise.all(wires.map((wire) => stage.engine({ wire })));
        assert(holder && waiter);
        await holder.acquire(key, { ttl: stage.ttl });
        const dead = await standInLine(waiter, key, { ttl: stage.ttl });
        dead.lock.catch(() => undefined);
        for (const wire of wires) wire.freeze();
      }
      const sooner = async (what: string, check: () => Promise<boolean>) => {
        // The longest that any backend believes in a waiter it does not hear of.
        for (const end = performance.now() + 20_000; !(await check()); await sleep(250)) {
          if (performance.now() > end) throw new Error(`Not within 20 s: ${what}.`);
        }
      };
      await Promise.all([
        sooner('the key is free as one of several', async () => {
          const lock = await engine.tryAcquire([set, stage.key()], { ttl: LONG });
          return (await lock?.release()) === true;
        }),
        sooner('the key is free for another kind of lock', async () => {
          const limit = stage.traits.semaphores ? 5 : 1;
          const lock = await engine.tryAcquire(kind, { limit, ttl: LONG }).catch((error: unknown) => {
            assert(error instanceof LockConfigurationError, String(error));
            return null;
          });
          return (await lock?.release()) === true;
        }),
        sooner('nobody is said to wait', async () => (await engine.inspect(look)).waiting === 0),
      ]);
    },
  },
];
