import type { LockTimeoutError } from '../../lock/errors.js';
import type { WithLockOptions } from '../../engine/engine.js';
import type { Lock } from '../../lock/lock.js';
import type { LockService } from '../service/lock.service.js';
import type { BusyInfo } from './locked.options.js';

/** One call that wants its lock: all that `@Locked` and `LockInterceptor` have worked out before anything is asked for. */
export interface LockedCall {
  readonly service: Pick<LockService, 'withLock'>;
  readonly keys: readonly string[];
  readonly options: WithLockOptions;
  readonly backend: string;
  /** Such as `Orders.place`. */
  readonly where: string;
  /** What comes of an error in the lock's place: a key that is none may be the client's mistake. @default the error */
  readonly refused?: (error: unknown) => unknown;
}

export type Outcome<T> =
  | { readonly ran: true; readonly value: T }
  | { readonly ran: false; readonly busy: BusyInfo; readonly error: LockTimeoutError };

/** Runs the work under the lock, and tells a busy key from a work that failed with a lock's error of its own. */
export async function underLock<T>(
  { service, keys, options, backend, where, refused }: LockedCall,
  work: (lock: Lock) => PromiseLike<T> | T,
  signal = options.signal,
): Promise<Outcome<T>> {
  let entered = false;
  const enter = (lock: Lock) => {
    entered = true;
    return work(lock);
  };
  try {
    const [only, ...others] = keys;
    const key = only !== undefined && others.length === 0 ? only : keys;
    return {
      ran: true,
      value: await service.withLock(key, enter, signal === undefined ? options : { ...options, signal }),
    };
  } catch (error) {
    if (entered) throw error;
    if (!isBusy(error)) throw refused === undefined ? error : refused(error);
    const { holder, waitedMs } = error;
    const busy = { key: keys.join(' + '), keys, backend, holder, waitedMs, method: where };
    return { ran: false, busy, error };
  }
}

/** By code: the class may come from a second copy of this package in the process. */
function isBusy(error: unknown): error is LockTimeoutError {
  return error instanceof Error && 'code' in error && error.code === 'LOCK_TIMEOUT';
}
