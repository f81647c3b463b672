import { type Session, SessionEndedError } from '../backend.js';
import type { KeyValue, RangeRequest, RangeResponse, Transaction, TransactionResponse } from './client.js';
import type { Members } from './members.js';
import { rangeOf } from './requests.js';
import { isLeaseGone } from './session.js';

/** How many keys one answer has at most: a long line must not exceed the size of a message. */
const PAGE = 1_000;

/** The keys of the cluster. */
export class Store {
  constructor(private readonly members: Members) {}

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

  /** One page of keys. */
  range(request: RangeRequest): Promise<RangeResponse> {
    return this.members.call((etcd, options) => etcd.kv.range(request, options));
  }
}

/** The key that comes directly after this one. */
export const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.alloc(1)]);
