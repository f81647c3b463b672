import type { LockEngine } from '../engine/engine.js';
import type { LockInfo } from '../lock/lock.js';

/** How many keys one question asks for, so that no server is busy with it for long. */
const PAGE = 200;

/** What was found, in the order of the keys, and whether there is more. */
export interface Found {
  readonly locks: readonly LockInfo[];
  readonly more: boolean;
}

/**
 * Locks up to the limit, page by page.
 * @param match `*` in it stands for any text
 */
export async function allOf(engine: LockEngine, match: string | undefined, limit: number): Promise<Found> {
  const locks = new Map<string, LockInfo>();
  let cursor: string | undefined;
  do {
    const page = await engine.list({
      limit: PAGE,
      ...(match !== undefined && { match }),
      ...(cursor !== undefined && { cursor }),
    });
    // A key that changes meanwhile may come twice.
    for (const lock of page.locks) locks.set(lock.key, lock);
    cursor = page.cursor;
  } while (cursor !== undefined && locks.size <= limit);
  const sorted = [...locks.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return { locks: sorted.slice(0, limit), more: locks.size > limit || cursor !== undefined };
}
