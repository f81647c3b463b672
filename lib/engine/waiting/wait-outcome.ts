import type { Lease } from '../leases/lease.js';

/** How waiting for one key ended. */
export type WaitOutcome =
  /** Ours, believed from `since` for `ttl`. */
  | {
      readonly outcome: 'granted';
      readonly fencingToken: bigint | undefined;
      readonly since: number;
      readonly ttl: number;
    }
  /** Ours, from another owner of this process. */
  | { readonly outcome: 'taken over'; readonly fencingToken: bigint; readonly lease: Lease }
  | { readonly outcome: 'busy'; readonly holder: string | undefined }
  /** In use as another sort of lock. */
  | { readonly outcome: 'conflict'; readonly limit: number }
  /** The server did not answer until the end. */
  | { readonly outcome: 'unknown'; readonly error: unknown }
  /** Called off, by the caller's signal or by closing. */
  | { readonly outcome: 'cancelled'; readonly reason: unknown };
