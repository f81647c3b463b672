import type { LockMode } from './lock-mode.js';
import type { LockErrorCode } from './errors.js';

interface Event<T extends string> {
  readonly type: T;
  /** The key without the module's prefix. */
  readonly key: string;
  /** The backend's name in the module. */
  readonly backend: string;
  readonly owner: string;
}

/**
 * What happens to locks, for metrics and logs. Every acquisition ends in exactly one of `acquired`, `timeout` and `failed`, and
 * what was acquired ends in exactly one of `released` and `lost`.
 */
export type LockEvent =
  /** The key was busy; the call stands in line. */
  | (Event<'waiting'> & { readonly holder: string | undefined })
  | (Event<'acquired'> & {
      readonly mode: LockMode;
      readonly waitedMs: number;
      readonly fencingToken: bigint | undefined;
      /** Whether it had to wait. */
      readonly contended: boolean;
    })
  /** The key stayed busy. */
  | (Event<'timeout'> & { readonly waitedMs: number; readonly holder: string | undefined })
  /** The acquisition ended without the lock: aborted, closed, or the server failed. */
  | (Event<'failed'> & { readonly waitedMs: number; readonly error: unknown })
  | (Event<'released'> & { readonly heldMs: number })
  /** The lock was lost while it was held, or turned out to be at its release. */
  | (Event<'lost'> & { readonly heldMs: number; readonly reason: string })
  /** The server did not confirm a renewal; it is tried again until the lease ends. */
  | (Event<'renewal-failed'> & { readonly error: unknown; readonly remainingMs: number })
  /** The server did not confirm a release; it is tried again in the background. */
  | (Event<'release-unknown'> & { readonly error: unknown });

export type LockEventListener = (event: LockEvent) => void;
export type { LockErrorCode };
