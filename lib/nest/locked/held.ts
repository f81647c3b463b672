import { AsyncResource } from 'node:async_hooks';
import type { Lock } from '../../lock/lock.js';
import { type LockedCall, type Outcome, underLock } from './under-lock.js';

/** A lock around work that comes in steps. */
export interface Held {
  readonly lock: Lock;
  /** Runs something in the lock's async context. */
  run<T>(step: () => T): T;
  /** Ends the work under the lock; fails as `withLock` does, so with the work's own error or with `LockLostError`. */
  leave(failure?: Failure): Promise<unknown>;
}

export interface Failure {
  readonly error: unknown;
}

/**
 * Goes on under a lock until `leave` is called. To be called by the work itself, and awaited by it.
 *
 * @param whole the call of `withLock` that the work belongs to
 */
export function stayUnder(lock: Lock, whole: () => Promise<unknown>, use: (held: Held) => void): Promise<void> {
  return new Promise<void>((succeed, fail) => {
    const context = new AsyncResource('nestjs-distributed-lock');
    use({
      lock,
      run: (step) => context.runInAsyncScope(step),
      leave: (failure) => {
        if (failure === undefined) succeed();
        else fail(failure.error);
        return whole();
      },
    });
  });
}

/** `withLock` turned inside out: resolves when the lock is held, or its key is busy. */
export function hold(
  call: LockedCall,
  signal?: AbortSignal,
): Promise<{ readonly ran: true; readonly held: Held } | Extract<Outcome<unknown>, { ran: false }>> {
  return new Promise((resolve, reject) => {
    const whole: Promise<Outcome<unknown>> = underLock<unknown>(
      call,
      (lock) =>
        stayUnder(
          lock,
          () => whole,
          (held) => resolve({ ran: true, held }),
        ),
      signal,
    );
    whole.then((outcome) => {
      if (!outcome.ran) resolve(outcome);
      // Once held, `leave` hands the failure on; rejecting again changes nothing.
    }, reject);
  });
}
