import { LockBackendError, LockConfigurationError, LockTimeoutError } from '../../lock/errors.js';
import { CHECK_THE_SERVER, messageOf } from '../../lock/messages.js';
import { NotAskedError } from '../asking/question-queue.js';

/** Why a call of `acquire` failed. */
export type Failure =
  /** The key stayed busy until the end of the wait. The value is the holder, if known. */
  | { readonly busy: string | undefined }
  /** The key is in use as another sort of lock. */
  | { readonly conflict: number }
  /** The server did not answer. */
  | { readonly unknown: unknown }
  /** Cancelled by the caller's signal or by closing. */
  | { readonly cancelled: unknown };

/** What the error reports of the call. */
export interface Failed {
  /** The key, or all keys joined. */
  readonly key: string;
  readonly backendName: string;
  readonly kind: string;
  readonly limit: number;
  /** In milliseconds, as `waitedMs`. */
  readonly wait: number;
  readonly waitedMs: number;
}

/** Makes the error for the caller. A caller who cancelled gets the reason of the signal. */
export function errorOf(failure: Failure, call: Failed): unknown {
  if ('cancelled' in failure) return failure.cancelled;
  if ('busy' in failure) return timeout(failure.busy, call);
  return 'conflict' in failure ? conflict(failure.conflict, call) : noAnswer(failure.unknown, call);
}

function timeout(holder: string | undefined, call: Failed): LockTimeoutError {
  const { key, backendName, wait, waitedMs } = call;
  return new LockTimeoutError(
    `Could not lock ${where(call)} within ${wait} ms: it is held${holder ? ` by ${holder}` : ''}. ` +
      'Wait longer, shorten the work under the lock, or say what to do instead (`tryAcquire`, `onBusy`).',
    { key, backend: backendName, waitedMs, holder },
  );
}

function conflict(limitInForce: number, call: Failed): LockConfigurationError {
  const sort = (limit: number): string =>
    limit > 1
      ? `a semaphore of ${limit}`
      : limit === 1
        ? 'a lock for one holder (limit 1)'
        : 'something else: what is kept there is no lock of this package, nor of a client that it stands in line with';
  return new LockConfigurationError(
    `${where(call)} was asked for as ${sort(call.limit)}, but is in use as ${sort(limitInForce)}. ` +
      (limitInForce > 0 ? 'All who use a key must name the same `limit`; give one of them another key.' : GIVE_ANOTHER),
    { key: call.key, backend: call.backendName },
  );
}

function noAnswer(cause: unknown, call: Failed): LockBackendError {
  // The server is well, so looking at it would not help.
  const isOverload = cause instanceof NotAskedError && cause.answered > 0;
  return new LockBackendError(
    `Could not lock ${where(call)}: ${messageOf(cause)}. It was tried for ${call.waitedMs} ms, and nothing ran under the lock. ` +
      (isOverload ? ASK_FOR_FEWER : CHECK_THE_SERVER),
    { key: call.key, backend: call.backendName, cause },
  );
}

const ASK_FOR_FEWER = 'Wait longer, or ask for fewer locks at once.';

const GIVE_ANOTHER = 'Give this lock another key, or name the `layout` of the backend that the others use.';

const where = ({ key, backendName, kind }: Failed): string => `'${key}' on '${backendName}' (${kind})`;
