import type { WithLockOptions } from '../../engine/engine.js';
import { type Labels, LABELS } from '../../lock/labels.js';
import type { AcquireOptions } from '../../lock/lock.js';

/** What a busy key is told to `onBusy`. */
export interface BusyInfo {
  /** The key, or all keys joined by ` + `. */
  readonly key: string;
  readonly keys: readonly string[];
  /** The backend's name in the module. */
  readonly backend: string;
  /** One of the holders at the last look, where the server told: `<host>-<pid>-<random>:<number>`. */
  readonly holder: string | undefined;
  /** How long was waited, in milliseconds. */
  readonly waitedMs: number;
  /** The method that did not run, such as `Orders.place`. */
  readonly method: string;
}

/** See `LockedOptions.onBusy`. The function has the method's `this`, and its arguments behind what is known of the busy key. */
export type OnBusy = 'throw' | 'skip' | ((this: never, info: BusyInfo, ...args: never[]) => unknown);

/** A lock is exclusive, a semaphore, or shared by any number of readers; a limit on readers is neither. */
type Kind =
  | {
      /** `'exclusive'` has the key alone, `'shared'` with other readers. @default 'exclusive' */
      readonly mode?: 'exclusive';
      /** How many may hold the key at the same time: 1 is a mutex, more a semaphore. @default 1 */
      readonly limit?: number;
    }
  | {
      /** Shared with any number of readers, and with no writer. */
      readonly mode: 'shared';
      /** Readers are not counted, so there is nothing to limit. */
      readonly limit?: 1;
    };

/**
 * How `@Locked` and `LockInterceptor` acquire. Durations are milliseconds or strings such as `'30s'`.
 *
 * @template Busy what `onBusy` is, so that the compiler can tell whether the method promises what it gives; without it, any way will do
 */
export type LockedOptions<Busy extends OnBusy = OnBusy> = Omit<AcquireOptions, 'mode' | 'limit'> &
  Kind & {
    /** The backend's name in the module. @default the module's default backend */
    readonly backend?: string;
    /**
     * What becomes of a call whose key stays busy.
     *
     * - `'throw'`: `LockTimeoutError`.
     * - `'skip'`: the method does not run; a promise gives `undefined`, a stream is empty. As skipping is not waiting, `wait` is 0
     *   unless it stands beside it. For `@Cron` on many pods: with `minHold` longer than the pods' clocks differ, or a short job
     *   ends on one pod before the other looks.
     * - a function: its value (or its error) becomes the method's. It is called with what is known of the key and the method's arguments,
     *   on the method's object: `onBusy: (info, id: string) => …`. It waits as `'throw'` does.
     *
     * Only a busy key comes here; a lock server that does not answer is always an error.
     *
     * @default 'throw'
     */
    readonly onBusy?: Busy;
    /**
     * Whether a call inside a method that holds the same key goes in under that lock, one at a time. `false` has it wait as a
     * stranger would, which ends in `LockTimeoutError` if the outer call awaits it.
     *
     * @default true
     */
    readonly reentrant?: boolean;
  };

/**
 * The part that the engine knows, frozen, so that it is looked at once and not for each call.
 *
 * @param labels what the lock is called in events where its options do not say
 */
export function acquireOptions(options: LockedOptions, labels?: Labels): WithLockOptions {
  const { backend: _backend, onBusy = 'throw', ...acquire } = options;
  return Object.freeze({
    ...(onBusy === 'skip' ? { wait: 0, ...acquire } : acquire),
    ...(labels && { [LABELS]: { ...labels, skips: onBusy !== 'throw' } }),
  });
}
