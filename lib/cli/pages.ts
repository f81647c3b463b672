import { ask } from '../engine/asking/ask.js';
import type { LockEngine } from '../engine/engine.js';
import { SystemClock } from '../engine/time/clock.js';
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
export async function allOf(
  engine: LockEngine,
  match: string | undefined,
  limit: number,
  { prefix, timeout }: { prefix: string; timeout: number },
): Promise<Found> {
  const { backend } = engine;
  if (!backend.list) throw new Error(`Locks on ${backend.kind} cannot be listed.`);
  const pattern = patternOf(match);
  const begin = prefix + (match?.split('*')[0] ?? '');
  const locks = new Map<string, LockInfo>();
  let cursor: string | undefined;
  do {
    const query = { prefix: begin, limit: PAGE, ...(cursor !== undefined && { cursor }) };
    const page = await ask(new SystemClock(), timeout, async () => backend.list?.(query));
    for (const { key: name, ...state } of page?.keys ?? []) {
      const key = name.slice(prefix.length);
      if (pattern.test(key)) locks.set(key, { key, held: state.holders.length > 0, ...state });
    }
    cursor = page?.cursor;
  } while (cursor !== undefined && locks.size <= limit);
  const sorted = [...locks.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return { locks: sorted.slice(0, limit), more: locks.size > limit || cursor !== undefined };
}

function patternOf(match = '*'): RegExp {
  return new RegExp(
    `^${match
      .split('*')
      .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('[^]*')}$`,
  );
}
