import { strict as assert } from 'node:assert';
import type { Case } from '../case.js';
import { within } from '../patience.js';
import { Recorder } from '../recorder.js';
import { LONG, nextEvent } from '../stage.js';
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
];
