import { AsyncResource } from 'node:async_hooks';
import type { Lock } from '../../lock/lock.js';
import type { BusyAnswer } from './busy.js';
import { type LockedCall, type Outcome, underLock } from './guard.js';

/**
 * An async generator that holds the lock from its first step to its end, whichever it is: exhausted, failed, or left by a `break`.
 * Every step runs in the lock's async context. When the lock is lost the next step fails with `LockLostError`.
 */
export async function* lockedGenerator(
  begin: () => LockedCall,
  start: () => AsyncGenerator<unknown, unknown, unknown>,
  busy: BusyAnswer,
): AsyncGenerator<unknown, unknown, unknown> {
  const held = await hold(begin());
  if (!held.ran) {
    yield* await busy(held);
    return undefined;
  }
  let failure: { readonly error: unknown } | undefined;
  try {
    return yield* inside(held, held.run(start));
  } catch (error) {
    failure = { error };
    throw error;
  } finally {
    await held.leave(failure);
  }
}

interface Held {
  readonly ran: true;
  readonly lock: Lock;
  /** Runs something in the lock's async context. */
  run<T>(step: () => T): T;
  /** Ends the work under the lock; fails as `withLock` does, so with the work's own error or with `LockLostError`. */
  leave(failure: { readonly error: unknown } | undefined): Promise<unknown>;
}

/** `withLock` turned inside out, for work that comes in steps. */
function hold(call: LockedCall): Promise<Held | Extract<Outcome<unknown>, { ran: false }>> {
  return new Promise((resolve, reject) => {
    const work = underLock(
      call,
      (lock) =>
        new Promise<void>((succeed, fail) => {
          const context = new AsyncResource('nestjs-distributed-lock');
          resolve({
            ran: true,
            lock,
            run: (step) => context.runInAsyncScope(step),
            leave: (failure) => {
              if (failure === undefined) succeed();
              else fail(failure.error);
              return work;
            },
          });
        }),
    );
    work.then((outcome) => {
      if (!outcome.ran) resolve(outcome);
      // Once held, `leave` hands the failure on; rejecting again changes nothing.
    }, reject);
  });
}

function inside(
  { lock, run }: Held,
  generator: AsyncGenerator<unknown, unknown, unknown>,
): AsyncGenerator<unknown, unknown, unknown> {
  const step = (advance: () => Promise<IteratorResult<unknown, unknown>>) => run(advance);
  const onward = (advance: () => Promise<IteratorResult<unknown, unknown>>) =>
    lock.signal.aborted
      ? // The generator gets to clean up before its consumer hears of the loss.
        step(() => generator.return(undefined)).then(() => Promise.reject(lock.signal.reason))
      : step(advance);
  return {
    next: (...sent: [] | [unknown]) => onward(() => generator.next(...sent)),
    throw: (error: unknown) => step(() => generator.throw(error)),
    return: (value: unknown) => step(() => generator.return(value)),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined);
    },
  };
}
