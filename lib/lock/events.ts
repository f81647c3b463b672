import type { LockMode } from './lock-mode.js';

/** The properties of every event. */
interface Event<Type extends string> {
  readonly type: Type;
  /** The key without the module's prefix; several keys are joined by ` + `. */
  readonly key: string;
  /** The backend's name in the module. */
  readonly backend: string;
  /** Names this acquisition on the server, as `Lock.owner`. */
  readonly owner: string;
  /**
   * What the lock is for, one of few: the template of `@Locked` and `LockInterceptor`, such as `order:<id>`, or the option `name`. Label
   * metrics with it, never with `key`, because there are as many keys as orders.
   */
  readonly name: string | undefined;
  /** The locked method, such as `Orders.place`; `undefined` where it was locked by hand. */
  readonly method: string | undefined;
}

/** The key is busy, and the call stands in line. */
export interface LockWaitingEvent extends Event<'waiting'> {
  readonly holder: string | undefined;
}

/** How a call for a lock ended; one with `waiting` before it is `contended`. Times are milliseconds, to the microsecond. */
interface CallEnded<Type extends string> extends Event<Type> {
  /** From the call to its end. */
  readonly waitedMs: number;
  /** Whether the call stood in line. */
  readonly contended: boolean;
}

/** A call has the lock. */
export interface LockAcquiredEvent extends CallEnded<'acquired'> {
  readonly mode: LockMode;
  /** `JSON.stringify` writes it as a string of digits. */
  readonly fencingToken: bigint | undefined;
}

/** The key was busy, and the caller had said what to do then, with `onBusy` or `tryAcquire`. */
export interface LockSkippedEvent extends CallEnded<'skipped'> {
  readonly holder: string | undefined;
}

/** The key stayed busy for the whole `wait`: `LockTimeoutError`. */
export interface LockTimeoutEvent extends CallEnded<'timeout'> {
  readonly holder: string | undefined;
}

/**
 * Why a call ended without the lock although its time was not over: the caller's signal, the shutdown, a key in use as another sort of
 * lock, or a server that failed.
 */
export type LockFailureReason = 'aborted' | 'shutdown' | 'conflict' | 'backend';

/** The call ended without the lock. */
export interface LockFailedEvent extends CallEnded<'failed'> {
  readonly reasonCode: LockFailureReason;
  readonly error: unknown;
}

/**
 * The holder released the lock. If the key went to the next holder in this process, you get this event before the server has confirmed the
 * release. If the server then refuses it, the next holder has lost the lock.
 */
export interface LockReleasedEvent extends Event<'released'> {
  /** Since it was acquired, in milliseconds, to the microsecond. */
  readonly heldMs: number;
  /** `'shutdown'` when the application shut down and told the work to stop, or ended before the work. */
  readonly reasonCode?: 'shutdown';
}

/**
 * Why a lock was lost:
 * - `expired`: its lease ran out before the server confirmed a renewal;
 * - `taken`: the server no longer had it;
 * - `forced`: somebody released it by force, or removed its key;
 * - `max-hold`: it was held for its `maxHold`;
 * - `shutdown`: the application ended before the work under it.
 */
export type LockLossReason = 'expired' | 'taken' | 'forced' | 'max-hold' | 'shutdown';

/** The lock was lost while it was held, or turned out to be at its release. */
export interface LockLostEvent extends Event<'lost'> {
  /** Since it was acquired, in milliseconds, to the microsecond. */
  readonly heldMs: number;
  readonly reasonCode: LockLossReason;
  /** The same as a sentence, for logs. */
  readonly reason: string;
}

/** The server did not confirm a renewal. It is tried again until the lease ends. */
export interface LockRenewalFailedEvent extends Event<'renewal-failed'> {
  readonly error: unknown;
  /** For how long the lock is surely held all the same. */
  readonly remainingMs: number;
}

/** The server did not confirm a release. It is tried again in the background. */
export interface LockReleaseUnknownEvent extends Event<'release-unknown'> {
  readonly error: unknown;
}

/**
 * What happens to locks, for metrics and logs. Every call for a lock ends in exactly one of `acquired`, `skipped`, `timeout` and `failed`,
 * and every acquired lock ends in exactly one of `released` and `lost`. Within a process, the end of a lock comes before the next holder of
 * its key.
 */
export type LockEvent =
  | LockWaitingEvent
  | LockAcquiredEvent
  | LockSkippedEvent
  | LockTimeoutEvent
  | LockFailedEvent
  | LockReleasedEvent
  | LockLostEvent
  | LockRenewalFailedEvent
  | LockReleaseUnknownEvent;

/** The values of `LockEvent.type`, such as `'acquired'` or `'lost'`. */
export type LockEventType = LockEvent['type'];
/** The event of one type. */
export type LockEventOf<Type extends LockEventType> = Extract<LockEvent, { readonly type: Type }>;

export type LockEventListener = (event: LockEvent) => void;
