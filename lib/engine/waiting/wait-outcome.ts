import type { Lease } from '../leases/lease.js';

/** How the wait for one key ended. */
export type WaitOutcome =
  /** Granted. The lease counts from `since` for `ttl`. */
  | {
      readonly outcome: 'granted';
      readonly fencingToken: bigint | undefined;
      readonly since: number;
      readonly ttl: number;
    }
  /** Taken over from another owner of this process. */
  | { readonly outcome: 'taken over'; readonly fencingToken: bigint; readonly lease: Lease }
  | { readonly outcome: 'busy'; readonly holder: string | undefined }
  /** The key is in use as another sort of lock. */
  | { readonly outcome: 'conflict'; readonly limit: number }
  /** The server did not answer until the end of the wait. */
  | { readonly outcome: 'unknown'; readonly error: unknown }
  /** Cancelled by the caller's signal or by closing. */
  | { readonly outcome: 'cancelled'; readonly reason: unknown };
