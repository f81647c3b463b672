import type { Holder, KeyState, ListPage, ListQuery } from '../../backends/backend.js';
import { LockConfigurationError } from '../../lock/errors.js';
import type { ListOptions, LockPage } from '../../lock/listing.js';
import type { LockInfo } from '../../lock/lock.js';
import { readable } from '../../lock/readable.js';

/** How many locks a page may have. */
const MOST = 1_000;
/** How often the server is asked for one page, so that a page comes soon although few of many keys match. */
const MOST_QUESTIONS = 10;

/**
 * A page of the locks whose keys match.
 * @param prefix what the engine puts before every key
 * @param ask asks the server, with a time limit for each question
 * @throws LockConfigurationError when the options are none
 */
export async function listLocks(
  { match = '*', limit = 100, cursor }: ListOptions,
  prefix: string,
  ask: (query: ListQuery) => Promise<ListPage>,
): Promise<LockPage> {
  check(match, limit, cursor);
  const [beginning = ''] = match.split('*');
  const matches = pattern(match);
  const locks: LockInfo[] = [];
  let next = cursor;
  for (let questions = 0; questions < MOST_QUESTIONS && locks.length < limit; questions++) {
    const query = { prefix: prefix + beginning, limit: limit - locks.length };
    const page = await ask(next === undefined ? query : { ...query, cursor: next });
    for (const { key, ...state } of page.keys) {
      const name = key.slice(prefix.length);
      if (matches.test(name)) locks.push(infoOf(name, state));
    }
    next = page.cursor;
    if (next === undefined) return { locks };
  }
  return next === undefined ? { locks } : { locks, cursor: next };
}

/** What the server knows of a key, as people are shown it. */
export function infoOf(key: string, state: KeyState): LockInfo {
  return {
    key,
    held: state.holders.length > 0,
    ...state,
    holders: shown(state.holders),
    ...(state.nodes && {
      nodes: state.nodes.map((node) => ('error' in node ? node : { ...node, holders: shown(node.holders) })),
    }),
  };
}

const shown = (holders: readonly Holder[]): readonly Holder[] => holders.map((holder) => readable({ ...holder }));

function check(match: unknown, limit: unknown, cursor: unknown): void {
  if (typeof match !== 'string') {
    throw new LockConfigurationError(
      `\`match\` is a string such as 'order:*'; this is ${match === null ? 'null' : typeof match}.`,
    );
  }
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MOST) {
    throw new LockConfigurationError(
      `\`limit\` of a list is a whole number from 1 to ${MOST}; this is ${String(limit)}.`,
    );
  }
  if (cursor !== undefined && typeof cursor !== 'string') {
    throw new LockConfigurationError('`cursor` is what the page before gave as its `cursor`; leave it out to begin.');
  }
}

/** Whole keys; `*` is any text, everything else is itself. */
function pattern(match: string): RegExp {
  const parts = match.split(/\*+/).map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's');
}
