import type { KeyState, ListPage, ListQuery } from '../backend.js';
import type { Row } from './client.js';
import type { Names } from './schema/index.js';
import { CLOCK } from './schema/state.js';
import { literal, nameOf } from './values.js';

type Ask = (sql: string) => Promise<readonly Row[]>;

/** How many waiters are named. */
const MOST_WAITERS = 100;
/** How many rows one call looks at for each key that it may answer with: most may be of keys that nobody uses now. */
const ROWS_A_KEY = 10;

/** What the tables say of one key, all of one moment. */
export async function inspect(ask: Ask, n: Names, key: string): Promise<KeyState> {
  const { name } = nameOf(key);
  const states = await statesOf(ask, n, [name]);
  return states.get(name.toString('hex').toUpperCase()) ?? { mode: 'exclusive', limit: 1, holders: [], waiting: 0 };
}

/** The rows of names from one on; those whose name is a digest, by their name in full, which is another order but the same each time. */
export async function listKeys(ask: Ask, n: Names, { prefix, limit, cursor = '' }: ListQuery): Promise<ListPage> {
  // What a long name begins with is in its short one as well.
  const from = Buffer.from(prefix).subarray(0, nameOf(prefix).whole ? nameOf(prefix).name.length - DIGEST : undefined);
  const scanned = await ask(
    `select hex(name), hex(ifnull(whole_name, name)), owner is not null or shared or line is not null from ${n.table('lock')}
     where name >= ${literal(from)} and left(name, ${from.length}) = ${literal(from)} ${cursor && `and name > x'${hex(cursor)}'`}
     order by name limit ${limit * ROWS_A_KEY}`,
  );
  const used = scanned.filter(([, , inUse]) => inUse === '1');
  const page = used.slice(0, limit);
  const states = await statesOf(
    ask,
    n,
    page.map(([name]) => Buffer.from(name ?? '', 'hex')),
  );
  const keys = page.flatMap(([name, whole]) => {
    const key = Buffer.from(whole ?? '', 'hex').toString();
    const state = states.get(name ?? '');
    return state && key.startsWith(prefix) && (state.holders.length > 0 || state.waiting > 0)
      ? [{ key, ...state }]
      : [];
  });
  const last = used.length > page.length ? page.at(-1) : scanned.at(-1);
  const more = used.length > page.length || scanned.length === limit * ROWS_A_KEY;
  return { keys, ...(more && last?.[0] && { cursor: last[0] }) };
}

const DIGEST = 32;
const hex = (cursor: string): string => cursor.replace(/[^0-9A-F]/gi, '');

async function statesOf(ask: Ask, n: Names, names: readonly Buffer[]): Promise<Map<string, KeyState>> {
  if (names.length === 0) return new Map();
  const some = names.map(literal).join(',');
  const rows = await ask(
    `select hex(name), 'x', owner, token, ends - ${CLOCK}, ${CLOCK} - since, size from ${n.table('lock')} where name in (${some})
     union all select hex(name), 's', owner, token, ends - ${CLOCK}, ${CLOCK} - since, null from ${n.table('holder')} where name in (${some})
     union all select hex(name), 'w', owner, arrival, deadline - ${CLOCK}, ${CLOCK} - since, null from ${n.table('waiter')} where name in (${some})`,
  );
  const byName = new Map<string, Row[]>();
  for (const row of rows) byName.set(row[0] ?? '', [...(byName.get(row[0] ?? '') ?? []), row]);
  return new Map([...byName].map(([name, of]) => [name, stateOf(of)]));
}

function stateOf(rows: readonly Row[]): KeyState {
  const live = rows.filter(([, , owner, , left]) => owner && Number(left) > 0);
  const holders = live
    .filter(([, kind]) => kind !== 'w')
    .map(([, , owner, token, left, heldUs]) => ({
      owner: (owner ?? '').replace(/~$/, ''),
      fencingToken: BigInt(token ?? 0),
      remainingMs: Number(left) / 1000,
      heldMs: Number(heldUs) / 1000,
    }));
  const waiting = live.filter(([, kind]) => kind === 'w').sort((a, b) => Number(a[3]) - Number(b[3]));
  const shared = live.some(([, kind]) => kind === 's');
  const limit = shared ? Number(rows.find(([, kind]) => kind === 'x')?.[6] ?? 1) : 1;
  return {
    mode: shared && limit === 1 ? 'shared' : 'exclusive',
    limit,
    holders,
    waiting: waiting.length,
    waiters: waiting
      .slice(0, MOST_WAITERS)
      .map(([, , owner, , , waitedUs]) => ({ owner: owner ?? '', waitingMs: Number(waitedUs) / 1000 })),
  };
}
