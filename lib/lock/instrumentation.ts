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

/** Follows one call for a lock to its end. What it throws becomes a warning of the process, and the lock goes on. */
export interface LockObserver {
  /**
   * Hears the events of this call in their order: `waiting` if it has to wait, how it ended, and, if it got the lock, everything up to
   * `released` or `lost`.
   */
  onEvent(event: LockEvent): void;
  /**
   * Called around the work under the lock, or each part of it where it comes in parts, such as the steps of a generator. Call `work` at once
   * and once, within whatever context the work is to find: an active span, an async context. Work under a lock that it holds already
   * is not taken around again.
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
   * Called for every call for a lock, before the server is asked, in the async context of whoever makes the call.
   *
   * @returns who follows it; nothing for a call that is not to be followed, which then costs nothing
   */
  onCall(call: LockCall): LockObserver | undefined;
  /**
   * Called once for each backend when the application starts.
   *
   * @returns what is to be called when it ends
   */
  onBackend?(backend: InstrumentedBackend): () => void;
}
