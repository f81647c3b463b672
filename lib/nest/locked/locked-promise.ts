import { isObservable } from 'rxjs';
import { LockConfigurationError } from '../../lock/errors.js';
import type { BusyAnswer } from './busy.js';
import { type LockedCall, type Outcome, underLock } from './under-lock.js';
import { stayUnder } from './held.js';
import { isAsyncIterable, isLasting, lasting } from './lasting.js';

/** Holds the lock until the promise of the work settles; when it settles to a stream, until that has ended. */
export function lockedPromise(call: LockedCall, work: () => unknown, busy: BusyAnswer): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const whole: Promise<Outcome<unknown>> = underLock(call, async (lock) => {
      const result = await awaitable(work(), call.where);
      if (!isLasting(result)) return result;
      return stayUnder(
        lock,
        () => whole,
        (held) => resolve(lasting(result, held, call.where)),
      );
    });
    whole
      .then(async (outcome) => {
        if (outcome.ran) return outcome.value;
        const [value] = await busy(outcome);
        return value;
      })
      .then(resolve, reject);
  });
}

/**
 * A stream that comes out of a method which did not say so would come to its caller as a promise. It has not begun yet, so refusing it
 * is safe.
 */
function awaitable(result: unknown, where: string): unknown {
  const streams = isObservable(result) || (isAsyncIterable(result) && !('then' in result) && !('pipe' in result));
  if (!streams) return result;
  throw new LockConfigurationError(
    `${where} returned ${isObservable(result) ? 'an Observable' : 'an async iterable'}, and @Locked could not see that coming: ` +
      'the lock would be gone before the stream begins. Declare the return type `: Observable<T>` (with `emitDecoratorMetadata` on), ' +
      'or make the method an `async *` generator (with a target of ES2018 or later), or `async`.',
  );
}
