import { type Session, SessionEndedError } from '../backend.js';
import type { KeyValue, Transaction, TransactionResponse } from './client.js';
import type { Members } from './members.js';
import { rangeOf } from './requests.js';
import { isLeaseGone } from './session.js';
import { Watches } from './watches.js';

/** The cluster as the locks see it. */
export class Cluster {
  readonly watches: Watches;
  readonly #waiting = new Map<string, number>();

  constructor(readonly members: Members) {
    this.watches = new Watches(members);
  }

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

  async line(name: string): Promise<readonly KeyValue[]> {
    return (await this.members.call((etcd, options) => etcd.kv.range(rangeOf(name), options))).kvs;
  }

  /** Somebody of this process waits for the key. Returns how to take that back. */
  wait(key: string): () => void {
    this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + 1);
    return () => {
      const count = (this.#waiting.get(key) ?? 1) - 1;
      if (count > 0) this.#waiting.set(key, count);
      else this.#waiting.delete(key);
    };
  }

  isWaitedFor(key: string): boolean {
    return this.#waiting.has(key);
  }

  async close(): Promise<void> {
    this.watches.close();
    await this.members.close();
  }
}
