import type { LockInfo } from '../lock/lock.js';
import type { Seen, Sweep } from './sweeps.js';
import { BAR_MS, type Bar } from './waits.js';
import type { Frame, NodeRow, Row, Sort } from './page/frame.js';

/** Which part of the locks one viewer looks at. */
export interface View {
  /** A part of a key or of an owner, in whatever case; an empty one is in all. */
  readonly filter: string;
  readonly sort: Sort;
  readonly limit: number;
}

/** How many locks a page shows at most. */
export const MOST_ROWS = 1_000;
const ROWS = 100;
/** How many holders and waiters of one lock are named. */
const MOST_NAMES = 20;

const SORTS: readonly Sort[] = ['waiting', 'held', 'lease', 'key'];

/** What the address of the stream asks for; whatever makes no sense in it counts for nothing. */
export function viewOf(query: Readonly<Record<string, unknown>>): View {
  const { filter, sort, limit } = query;
  const rows = Number(limit);
  return {
    filter: typeof filter === 'string' ? filter.slice(0, 200).toLowerCase() : '',
    sort: SORTS.find((known) => known === sort) ?? 'waiting',
    limit: Number.isInteger(rows) && rows > 0 ? Math.min(rows, MOST_ROWS) : ROWS,
  };
}

/** What a viewer is sent. */
export function frameOf(
  sweep: Sweep,
  { filter, sort, limit }: View,
  bars: readonly Readonly<Bar>[],
  now: number,
): Frame {
  const matching = filter === '' ? sweep.locks : sweep.locks.filter((seen) => matches(seen, filter));
  const first = matching.toSorted(orders[sort]).slice(0, limit);
  return {
    rows: first.map((seen) => rowOf(seen, now)),
    matching: matching.length,
    totals: totalsOf(sweep.locks),
    complete: sweep.complete,
    more: sweep.more,
    silent: sweep.silent,
    waits: { barMs: BAR_MS, bars },
  };
}

function matches({ backend, lock: { key, holders } }: Seen, filter: string): boolean {
  if (key.toLowerCase().includes(filter) || backend.toLowerCase() === filter) return true;
  return holders.some(({ owner }) => owner.toLowerCase().includes(filter));
}

const heldMs = ({ lock: { holders } }: Seen): number => holders[0]?.heldMs ?? 0;
const leaseMs = ({ lock: { holders } }: Seen): number => holders[0]?.remainingMs ?? Infinity;
const byKey = (a: Seen, b: Seen): number => (a.lock.key < b.lock.key ? -1 : a.lock.key > b.lock.key ? 1 : 0);

/** Those that are equal stand by key, so that rows do not change places for nothing. */
const orders: Readonly<Record<Sort, (a: Seen, b: Seen) => number>> = {
  waiting: (a, b) => b.lock.waiting - a.lock.waiting || byKey(a, b),
  held: (a, b) => heldMs(b) - heldMs(a) || byKey(a, b),
  lease: (a, b) => leaseMs(a) - leaseMs(b) || byKey(a, b),
  key: byKey,
};

function totalsOf(locks: readonly Seen[]): Frame['totals'] {
  let [held, waiting] = [0, 0];
  const processes = new Set<string>();
  for (const { lock } of locks) {
    if (lock.held) held++;
    waiting += lock.waiting;
    // An owner is a process, a colon and a number.
    for (const { owner } of lock.holders) processes.add(owner.slice(0, Math.max(owner.lastIndexOf(':'), 0)));
  }
  return { held, waiting, processes: processes.size };
}

function rowOf({ backend, lock, at }: Seen, now: number): Row {
  const age = now - at;
  return {
    backend,
    key: lock.key,
    mode: lock.mode,
    limit: lock.limit,
    held: lock.holders.length,
    holders: lock.holders.slice(0, MOST_NAMES).map((holder) => holderOf(holder, age)),
    waiting: lock.waiting,
    waiters: (lock.waiters ?? []).slice(0, MOST_NAMES).map(({ owner, waitingMs }) => ({
      owner,
      ...(waitingMs !== undefined && { waitingMs: Math.round(waitingMs + age) }),
    })),
    ...(lock.nodes && { nodes: lock.nodes.map(nodeOf) }),
  };
}

function nodeOf(node: NonNullable<LockInfo['nodes']>[number]): NodeRow {
  if ('error' in node) return node;
  return {
    node: node.node,
    owners: node.holders.slice(0, MOST_NAMES).map(({ owner }) => owner),
    waiting: node.waiting,
  };
}

function holderOf(holder: LockInfo['holders'][number], age: number): Row['holders'][number] {
  const { owner, fencingToken, remainingMs, heldMs: held } = holder;
  return {
    owner,
    leaseMs: Math.max(0, Math.round(remainingMs - age)),
    ...(held !== undefined && { heldMs: Math.round(held + age) }),
    // Larger than a JavaScript number is exact.
    ...(fencingToken !== undefined && { token: fencingToken.toString() }),
  };
}
