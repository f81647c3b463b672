import type { Claim } from '../backend.js';
import type { Compare, KeyValue, Operation, TransactionResponse } from './client.js';
import { createdAt, type EtcdPlace, keyOf, valueOf } from './places.js';

/** The parts of our transactions. */

/** From `<name>/` up to `<name>0`, the next character. */
export function rangeOf(name: string): { key: Buffer; range_end: Buffer } {
  const key = Buffer.from(`${name}/`);
  const range_end = Buffer.from(key);
  range_end[range_end.length - 1] = 0x30;
  return { key, range_end };
}

/** The whole line. */
export const all = (name: string): Operation => ({ request_range: rangeOf(name) });

/** The first place and the last two, one of which may be the claim's own. An exclusive claim need not know more of a long line. */
export function ends(name: string, before?: EtcdPlace): Operation[] {
  const upTo = before === undefined ? {} : { max_create_revision: String(createdAt(before) - 1) };
  const range = { ...rangeOf(name), ...upTo, sort_target: 'Create' } as const;
  return [
    { request_range: { ...range, sort_order: 'Ascend', limit: 1 } },
    { request_range: { ...range, sort_order: 'Descend', limit: 2 } },
  ];
}

export const isExclusive = ({ mode, limit }: Claim): boolean => mode === 'exclusive' && limit === 1;

export const own = (claim: Claim): Operation => ({ request_range: { key: keyOf(claim) } });

export const put = (claim: Claim, lease: string): Operation => ({
  request_put: { key: keyOf(claim), value: valueOf(claim), lease },
});

/** Hangs the key from another lease; it keeps its place. */
export const move = (claim: Claim, lease: string): Operation => ({
  request_put: { key: keyOf(claim), ignore_value: true, lease },
});

export const remove = (key: Buffer): Operation => ({ request_delete_range: { key } });

/** Nobody is in the line. */
export const isEmpty = ({ key }: Claim): Compare => ({
  ...rangeOf(key),
  target: 'Version',
  result: 'Equal',
  version: '0',
});

/** The claim has no key. */
export const isAbsent = (claim: Claim): Compare => wasCreated(claim, '0');

export const wasCreated = (claim: Claim, create_revision: string): Compare => ({
  key: keyOf(claim),
  target: 'Create',
  result: 'Equal',
  create_revision,
});

export const hangsFrom = (claim: Claim, lease: string): Compare => ({
  key: keyOf(claim),
  target: 'Lease',
  result: 'Equal',
  lease,
});

export const isUnchanged = ({ kv: { key, mod_revision } }: EtcdPlace): Compare => ({
  key,
  target: 'Mod',
  result: 'Equal',
  mod_revision,
});

/** How many operations a transaction may have, unless the server's `--max-txn-ops` says otherwise. */
export const MOST_AT_ONCE = 128;

/** What the ranges among the operations found. */
export const found = ({ responses }: TransactionResponse, from?: number, to?: number): readonly KeyValue[] =>
  responses.slice(from, to).flatMap(({ response_range }) => response_range?.kvs ?? []);
