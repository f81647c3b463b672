import { strict as assert } from 'node:assert';
import { LockTimeoutError } from '../../../lock/errors.js';
import type { LockEvent } from '../../../lock/events.js';
import type { Case } from '../case.js';
import { within } from '../patience.js';
import { LONG, loss, nextEvent, type Stage, standInLine } from '../stage.js';

/** An engine and what it tells. */
async function overheard(stage: Stage) {
  const engine = await stage.engine();
  const events: LockEvent[] = [];
  const stop = engine.listen((event) => events.push(event));
  const of = (owner: string) => events.filter((event) => event.owner === owner).map((event) => event.type);
  return { engine, events, stop, of };
}

/** What metrics and logs are made from. */
export const eventCases: readonly Case[] = [
  {
    name: 'every acquisition ends in exactly one of acquired, skipped, timeout and failed; a loss is told before the release',
    async run(stage) {
      const { engine, events, stop, of } = await overheard(stage);
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      await assert.rejects(engine.acquire(key, { wait: 50 }), LockTimeoutError);
      assert.equal(await engine.tryAcquire(key), null);
      const abort = new AbortController();
      const aborted = await standInLine(engine, key, { signal: abort.signal });
      abort.abort();
      await assert.rejects(aborted.lock);
      await lock.release();
      const victim = await engine.acquire(key, { ttl: stage.ttl });
      await stage.observer.backend.forceRelease(stage.fullKey(key));
      await loss(victim);
      await victim.release();
      stop();
      await (await engine.acquire(key)).release();
      assert.deepEqual(of(lock.owner), ['acquired', 'released']);
      assert.deepEqual(of(victim.owner).slice(0, 2), ['acquired', 'lost']);
      const count = (type: LockEvent['type']) => events.filter((event) => event.type === type).length;
      assert.deepEqual([count('acquired'), count('skipped'), count('timeout'), count('failed')], [2, 1, 1, 1]);
      assert.equal(count('waiting'), 2);
      for (const event of events) assert.equal(event.key, key);
    },
  },
  {
    name: 'the events of one acquisition name one owner, that of the lock, also when it waited and also of several keys',
    async run(stage) {
      const { engine, of } = await overheard(stage);
      const other = await stage.engine();
      for (const keys of [[stage.key()], [stage.key('a'), stage.key('b')]]) {
        const busy = await other.acquire(keys.at(-1) ?? '', { ttl: LONG });
        const next = await standInLine(engine, keys, { ttl: LONG });
        await busy.release();
        const lock = await within(5_000, 'the waiter has it', next.lock);
        const released = nextEvent(engine, (event) => event.type === 'released');
        await lock.release();
        await released;
        assert.deepEqual(of(lock.owner), ['waiting', 'acquired', 'released']);
      }
    },
  },
];
