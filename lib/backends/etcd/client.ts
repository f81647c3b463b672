import type { Etcd3, IDuplexStream, IKeyValue, IWatchRequest, IWatchResponse } from 'etcd3';

/**
 * The parts of `etcd3` that are used, by the library's own types. No type that users see refers to them, so the types of a user who has
 * no etcd need no `etcd3`. Revisions and ids are 64 bit and come as decimal strings.
 */

export type {
  ICompare as Compare,
  IEvent as WatchEvent,
  IRangeRequest as RangeRequest,
  IRangeResponse as RangeResponse,
  IRequestOp as Operation,
  ITxnRequest as Transaction,
  ITxnResponse as TransactionResponse,
  IWatchResponse as WatchResponse,
} from 'etcd3';

/** A client of one member. */
export type Etcd = Pick<Etcd3, 'kv' | 'leaseClient' | 'watchClient' | 'close'>;

/** A key. In the report of its deletion, `mod_revision` is that of the deletion. */
export type KeyValue = Omit<IKeyValue, 'version'>;

/** From etcd 3.4 on the client chooses the ids of its watches. */
export type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;
