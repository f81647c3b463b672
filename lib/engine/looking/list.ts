import type { Holder, KeyState, ListPage, ListQuery } from '../../backends/backend.js';
import { LockConfigurationError } from '../../lock/errors.js';
import type { ListOptions, LockPage } from '../../lock/listing.js';
import type { LockInfo } from '../../lock/lock.js';
import { readable } from '../../lock/readable.js';

/** Maximum number of locks on a page. */
const MOST = 1_000;
/** Maximum number of calls to the server for one page. A page then comes soon, even if few of many keys match. */
const MOST_QUESTIONS = 10;

/**
 * Resolves to a page of the locks whose keys match.
 * @param prefix the prefix of every key on the server
 * @param ask asks the server, with a time limit for each call
 * @throws LockConfigurationError when the options are invalid
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

/** The server's state of a key, in the form that people see. */
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

/** Matches whole keys. `*` is any text, and every other character is itself. */
function pattern(match: string): RegExp {
  const parts = match.split(/\*+/).map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's');
}
