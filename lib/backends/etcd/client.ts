/**
 * The parts of `etcd3` that are used, by their shape: whoever takes no locks from etcd needs neither the library nor its types.
 * Revisions and ids are 64 bit and come as decimal strings.
 */

/** An `Etcd3` fits. */
export interface EtcdClient {
  readonly kv: object;
  readonly leaseClient: object;
  readonly watchClient: object;
  close(): void;
}

export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  /** `'0'`: none. */
  readonly lease: string;
}

interface Header {
  readonly revision: string;
}

export interface RangeRequest {
  readonly key: Buffer;
  readonly range_end?: Buffer;
  readonly limit?: number;
  readonly revision?: string;
  readonly keys_only?: boolean;
  readonly sort_order?: 'Ascend' | 'Descend';
  readonly sort_target?: 'Create';
  readonly max_create_revision?: string;
}

export interface RangeResponse {
  /** Absent inside of a transaction. */
  readonly header: Header;
  /** Whether the limit cut the answer short. */
  readonly more: boolean;
  readonly kvs: readonly KeyValue[];
}

/** `range_end`: of all keys in the range. */
export type Compare = { readonly key: Buffer; readonly range_end?: Buffer; readonly result: 'Equal' | 'Less' } & (
  | { readonly target: 'Version'; readonly version: string }
  | { readonly target: 'Create'; readonly create_revision: string }
  | { readonly target: 'Mod'; readonly mod_revision: string }
  | { readonly target: 'Lease'; readonly lease: string }
);

export type Operation =
  | { readonly request_range: RangeRequest }
  | {
      readonly request_put: {
        readonly key: Buffer;
        readonly value?: Buffer;
        readonly ignore_value?: boolean;
        readonly lease: string;
      };
    }
  | { readonly request_delete_range: { readonly key: Buffer } };

export interface Transaction {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export interface TransactionResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly response_range?: RangeResponse }[];
}

/** `watch_id`: of our choice, from etcd 3.4 on. */
export type WatchRequest =
  | { readonly create_request: { readonly key: Buffer; readonly range_end?: Buffer; readonly watch_id: string } }
  | { readonly cancel_request: { readonly watch_id: string } };

export interface WatchResponse {
  readonly header: Header;
  readonly watch_id: string;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly cancel_reason: string;
  readonly events: readonly WatchEvent[];
}

export interface WatchEvent {
  readonly type: 'Put' | 'Delete';
  /** Of a deleted key: its name, and the revision of the deletion as `mod_revision`. */
  readonly kv: KeyValue;
}

export interface Stream<Request, Response> {
  on(event: 'data', listener: (response: Response) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  write(request: Request): unknown;
  end(): unknown;
  cancel(): unknown;
}

export interface CallOptions {
  /** By the wall clock, for gRPC. */
  readonly deadline: number;
}

/** What an `Etcd3` is to us. */
export interface Etcd {
  readonly kv: {
    txn(request: Transaction, options: CallOptions): Promise<TransactionResponse>;
    range(request: RangeRequest, options: CallOptions): Promise<RangeResponse>;
    deleteRange(request: { readonly key: Buffer }, options: CallOptions): Promise<{ readonly deleted: string }>;
  };
  readonly leaseClient: {
    leaseGrant(request: { TTL: number }, options: CallOptions): Promise<{ readonly ID: string; readonly TTL: string }>;
    leaseRevoke(request: { ID: string }, options: CallOptions): Promise<unknown>;
    leaseKeepAlive(options: CallOptions): Promise<Stream<{ ID: string }, { readonly TTL: string }>>;
    leaseTimeToLive(
      request: { ID: string; keys: boolean },
      options: CallOptions,
    ): Promise<{ readonly TTL: string; readonly grantedTTL: string; readonly keys: readonly Buffer[] }>;
  };
  readonly watchClient: {
    watch(): Promise<Stream<WatchRequest, WatchResponse>>;
  };
  close(): void;
}
