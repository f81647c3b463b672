import { isObservable } from 'rxjs';
import { LockConfigurationError } from '../../lock/errors.js';
import type { BusyAnswer } from './busy.js';
import { type LockedCall, underLock } from './guard.js';

/** Holds the lock until the promise of the work settles. */
export async function lockedPromise(call: LockedCall, work: () => unknown, busy: BusyAnswer): Promise<unknown> {
  const outcome = await underLock(call, () => awaitable(work(), call.where));
  if (outcome.ran) return outcome.value;
  const [value] = await busy(outcome);
  return value;
}

/**
 * A stream that comes out of a method which did not say so would run after the lock is gone. It has not begun yet, so refusing it
 * is safe.
 */
function awaitable(result: unknown, where: string): unknown {
  const streams =
    isObservable(result) ||
    (typeof result === 'object' && result !== null && !('then' in result) && Symbol.asyncIterator in result);
  if (!streams) return result;
  throw new LockConfigurationError(
    `${where} returned ${isObservable(result) ? 'an Observable' : 'an async iterable'}, and @Locked could not see that coming: ` +
      'the lock would be gone before the stream begins. Declare the return type `: Observable<T>` (with `emitDecoratorMetadata` on), ' +
      'or make the method an `async *` generator (with a target of ES2018 or later).',
  );
}
