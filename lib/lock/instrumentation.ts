import type { Duration } from './duration.js';
import type { LockEvent } from './events.js';
import type { LockMode } from './lock-mode.js';

/** One call for a lock, as it was made. */
export interface LockCall {
  /** All keys, in the order in which they are locked, without the module's prefix. */
  readonly keys: readonly string[];
  /** The backend's name in the module, and its product, such as `redis`. */
  readonly backend: string;
  readonly kind: string;
  readonly mode: LockMode;
  /** As in the events of this call. */
  readonly name: string | undefined;
  readonly method: string | undefined;
}

/** Observes one call for a lock to its end. If it throws, the error becomes a warning of the process, and the lock goes on. */
export interface LockObserver {
  /**
   * Hears the events of this call in their order: `waiting` if it has to wait, how it ended, and, if it got the lock, everything up to
   * `released` or `lost`.
   */
  onEvent(event: LockEvent): void;
  /**
   * Called around the work under the lock, or around each part of it, such as the steps of a generator. Call `work` once and at once,
   * inside the context that the work should have: an active span, an async context. Work that re-enters a lock is not wrapped again.
   */
  around?(work: () => void): void;
}

/** One backend of the application. */
export interface InstrumentedBackend {
  /** Its name in the module. */
  readonly backend: string;
  /** As `LockService.ping`: rejects when no lock can be taken. */
  ping(options?: { readonly timeout?: Duration }): Promise<void>;
}

/**
 * The one way to look at locks from inside: for tracing, for a context that the work should find, for counting. Give it to the module as
 * `instrumentation`. For counting alone, `LockService.events$` or the channel `nestjs-distributed-lock:event` of `node:diagnostics_channel` do.
 */
export interface LockInstrumentation {
  /**
   * Called for every call for a lock, before the server is asked, in the async context of the caller.
   *
   * @returns the observer of the call, or nothing; a call without an observer costs nothing
   */
  onCall(call: LockCall): LockObserver | undefined;
  /**
   * Called once for each backend when the application starts.
   *
   * @returns a function to call when the application ends
   */
  onBackend?(backend: InstrumentedBackend): () => void;
}
