import { type Session, SessionEndedError } from '../backend.js';
import type { KeyValue, Operation, RangeRequest, RangeResponse, Transaction, TransactionResponse } from './client.js';
import type { Members } from './members.js';
import { claimOf } from './places.js';
import { found, MOST_AT_ONCE, rangeOf } from './requests.js';

/** How many keys one answer has at most: a long line must not exceed the size of a message. */
const PAGE = 1_000;

/** The keys of the cluster. */
export class Store {
  constructor(readonly members: Members) {}

  /**
   * @param wanted whether the answer still matters
   * @throws SessionEndedError when a put names a lease that is gone
   */
  async transact(session: Session, transaction: Transaction, wanted?: () => boolean): Promise<TransactionResponse> {
    try {
      return await this.members.call((etcd, options) => etcd.kv.txn(transaction, options), wanted && { wanted });
    } catch (error) {
      throw isLeaseGone(error) ? new SessionEndedError(session) : error;
    }
  }

  /** Runs the operations in as few transactions as they fit into. Resolves to what they found. */
  async run(operations: readonly Operation[]): Promise<readonly KeyValue[]> {
    const kvs: KeyValue[] = [];
    for (let from = 0; from < operations.length; from += MOST_AT_ONCE) {
      const transaction = { compare: [], success: operations.slice(from, from + MOST_AT_ONCE), failure: [] };
      kvs.push(...found(await this.members.call((etcd, options) => etcd.kv.txn(transaction, options))));
    }
    return kvs;
  }

  /** Deletes the key. Resolves to whether it was there, `undefined` when an earlier request without an answer may have deleted it. */
  async remove(key: Buffer): Promise<boolean | undefined> {
    let again = false;
    const { deleted } = await this.members.call((etcd, options, earlier) => {
      again = earlier;
      return etcd.kv.deleteRange({ key }, options);
    });
    if (deleted !== '0') return true;
    return again ? undefined : false;
  }

  /** All keys of a line, and of the lines that are named below it, as they were at one revision. */
  async line(name: string): Promise<readonly KeyValue[]> {
    const whole: KeyValue[] = [];
    let range: RangeRequest = { ...rangeOf(name), limit: PAGE };
    for (;;) {
      const { header, kvs, more } = await this.range(range);
      whole.push(...kvs);
      const last = kvs.at(-1);
      if (!more || !last) return whole;
      range = { revision: header.revision, ...range, key: after(last.key) };
    }
  }

  /** The names of lines from the cursor on, with the first key of each, and where the next page begins. */
  async names(prefix: string, limit: number, cursor?: string): Promise<Names> {
    const from = cursor === undefined ? Buffer.from(prefix) : Buffer.from(cursor, 'base64');
    const end = prefix === '' ? Buffer.alloc(1) : below(prefix);
    const request = { key: from.length > 0 ? from : Buffer.alloc(1), range_end: end, limit: PAGE, keys_only: true };
    const { kvs, more } = await this.range(request);
    const names = new Map<string, Buffer>();
    for (const { key } of kvs) {
      const name = claimOf(key).key;
      if (names.has(name)) continue;
      if (names.size >= limit) return { keys: entries(names), next: key.toString('base64') };
      names.set(name, key);
    }
    const last = kvs.at(-1);
    return { keys: entries(names), next: more && last ? after(last.key).toString('base64') : undefined };
  }

  /** One page of keys. */
  range(request: RangeRequest): Promise<RangeResponse> {
    return this.members.call((etcd, options) => etcd.kv.range(request, options));
  }
}

interface Names {
  readonly keys: readonly { readonly key: string; readonly first: Buffer }[];
  readonly next: string | undefined;
}

const entries = (names: ReadonlyMap<string, Buffer>): Names['keys'] =>
  [...names].map(([key, first]) => ({ key, first }));

export const isLeaseGone = (error: unknown): boolean =>
  error instanceof Error && error.message.includes('requested lease not found');

/** The first key behind all that begin with the prefix. */
function below(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  // UTF-8 has no byte 255, so the last one can grow.
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

/** The key that comes directly after this one. */
const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.alloc(1)]);
