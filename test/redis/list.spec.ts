import { describe, expect, it } from 'vitest';
import type { KeyState } from '../../lib/backends/backend.js';
import type { RedisLink } from '../../lib/backends/redis/link.js';
import { listKeys } from '../../lib/backends/redis/list.js';

const HELD: KeyState = {
  mode: 'exclusive',
  limit: 1,
  holders: [{ owner: 'pod:1', fencingToken: 1n, remainingMs: 1_000 }],
  waiting: 0,
  waiters: [],
};

/** A server whose table has a lock in every place that `isLock` names, which it shows as many places at a time as it is asked for. */
function table(size: number, isLock: (place: number) => boolean) {
  const counts: number[] = [];
  const call: RedisLink['call'] = async (...words) => {
    const [name, at] = words;
    const count = Number(words[words.indexOf('COUNT') + 1]);
    if (name !== 'SCAN') throw new Error(`${name} looks at the whole table at once`);
    counts.push(count);
    const from = Number(at);
    const places = Array.from({ length: Math.min(count, size - from) }, (_, index) => from + index);
    const next = from + count < size ? String(from + count) : '0';
    return [next, places.filter(isLock).map((place) => `{lock:${place}}`)];
  };
  return { counts, link: { call } as RedisLink };
}

describe('A page of the list never holds up Redis', () => {
  it('looks at a few hundred places of the table in one go, at one lock in each script, and goes in bounded steps', async () => {
    const { counts, link } = table(20_000, (place) => place % 10 === 0);
    const inspected: string[] = [];
    const inspect = async (key: string): Promise<KeyState> => {
      inspected.push(key);
      return HELD;
    };
    const found: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const [scans, scripts] = [counts.length, inspected.length];
      const page = await listKeys(
        link,
        { prefix: 'lock:', limit: 100, ...(cursor !== undefined && { cursor }) },
        inspect,
      );
      expect(counts.length - scans).toBeLessThanOrEqual(20);
      // One step brings no more than it looks at, so a page exceeds its limit by that at most.
      expect(inspected.length - scripts).toBeLessThan(100 + 250);
      found.push(...page.keys.map(({ key }) => key));
      cursor = page.cursor;
      pages++;
    } while (cursor !== undefined);
    expect(Math.max(...counts)).toBeLessThanOrEqual(250);
    expect(new Set(found).size).toBe(2_000);
    expect(inspected).toHaveLength(2_000);
    expect(pages).toBeGreaterThanOrEqual(2_000 / 350);
  });

  it('among very many other keys a page ends after so many steps, though it found nothing', async () => {
    const { counts, link } = table(1_000_000, () => false);
    const page = await listKeys(link, { prefix: 'lock:', limit: 100 }, async () => HELD);
    expect(page).toEqual({ keys: [], cursor: '0 5000' });
    expect(counts).toHaveLength(20);
  });
});
