import type { ListPage, ListQuery } from '../backend.js';
import { holdersIn } from '../line/judge.js';
import type { ConsulDriver } from './driver.js';

/** How many waiters of a key are named. */
const MOST_WAITERS = 100;

/** A page of all keys that are held or waited for. */
export async function list(driver: ConsulDriver, query: ListQuery): Promise<ListPage> {
  const { lines, cursor } = await driver.lines(query);
  const keys = lines.flatMap(({ key, line }) => {
    const holding = holdersIn(line);
    const [first] = holding;
    if (!first) return [];
    const waiting = line.slice(holding.length);
    const { mode, limit } = first;
    const holders = holding.map(({ owner, token, ttl }) => ({ owner, fencingToken: token, remainingMs: ttl }));
    const waiters = waiting.slice(0, MOST_WAITERS).map(({ owner }) => ({ owner }));
    return [{ key, mode, limit, holders, waiting: waiting.length, waiters }];
  });
  return cursor === undefined ? { keys } : { keys, cursor };
}
