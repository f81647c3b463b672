import { strict as assert } from 'node:assert';
import type { LockEngine } from '../../../engine/engine.js';
import type { LockInfo } from '../../../lock/lock.js';
import type { Case } from '../case.js';
import { eventually } from '../patience.js';
import { LONG } from '../stage.js';

/** Every lock that matches, page by page; a key that comes twice counts once. */
async function everything(engine: LockEngine, match: string, limit: number): Promise<ReadonlyMap<string, LockInfo>> {
  const found = new Map<string, LockInfo>();
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await engine.list({ match, limit, ...(cursor !== undefined && { cursor }) });
    assert(++pages < 1_000, 'the list ends');
    for (const info of page.locks) found.set(info.key, info);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

/** What an operator is shown. A backend that has no `list` owes none of it. */
export const listingCases: readonly Case[] = [
  {
    name: 'the list names every lock that is held and none that is not, over any number of pages',
    async run(stage) {
      if (!stage.observer.backend.list) return;
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const group = stage.key('list');
      // Characters that mean something to a server's patterns, and to a regular expression.
      const keys = Array.from({ length: 12 }, (_, i) => `${group}:${i}:[a]{b}?^$.(c)`);
      const [first = '', free = ''] = keys;
      const locks = await Promise.all(keys.map((key) => engine.acquire(key, { ttl: LONG })));
      const stranger = await other.acquire(stage.key('else'), { ttl: LONG });
      await locks[1]?.release();
      const listed = await everything(other, `${group}:*`, 5);
      assert.deepEqual([...listed.keys()].sort(), keys.filter((key) => key !== free).sort());
      const info = listed.get(first);
      assert.equal(info?.held, true);
      assert.deepEqual(
        info?.holders.map(({ owner, fencingToken }) => [owner, fencingToken]),
        [[locks[0]?.owner, locks[0]?.fencingToken]],
      );
      // In the middle, at the end, and one key by itself.
      assert.equal((await everything(other, `${group}*:3:*`, 5)).size, 1);
      assert.deepEqual([...(await everything(other, `*${first}`, 1_000)).keys()], [first]);
      assert.deepEqual([...(await everything(other, first, 5)).keys()], [first]);
      assert.equal((await everything(other, `${group}:0`, 5)).size, 0, 'a key is matched whole');
      assert(JSON.stringify([...listed.values()]).includes(first.slice(0, 20)), 'it can be serialised');
      await Promise.all([...locks, stranger].map((lock) => lock.release()));
      await eventually('nothing is listed', async () => (await everything(other, `${group}:*`, 5)).size === 0);
    },
  },
  {
    name: 'the list tells who waits, as inspect does',
    async run(stage) {
      if (!stage.observer.backend.list || !stage.traits.fifo) return;
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const key = stage.key();
      const lock = await engine.acquire(key, { ttl: LONG });
      const abort = new AbortController();
      const waiter = other.acquire(key, { ttl: LONG, wait: LONG, signal: abort.signal });
      const waiting = async () => (await everything(engine, key, 10)).get(key)?.waiting === 1;
      await eventually('one waits', waiting);
      const info = (await everything(engine, key, 10)).get(key);
      if (info?.waiters) {
        assert.equal(info.waiters.length, 1);
        assert.notEqual(info.waiters[0]?.owner, lock.owner);
      }
      abort.abort();
      await assert.rejects(waiter);
      await lock.release();
    },
  },
];
