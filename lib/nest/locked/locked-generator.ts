import { follow } from './abort-with.js';
import type { BusyAnswer } from './busy.js';
import type { LockedCall } from './under-lock.js';
import { type Failure, type Held, hold } from './held.js';

type Generator = AsyncGenerator<unknown, unknown, unknown>;

/**
 * An async generator that holds the lock from its first step to its end, whichever it is: exhausted, failed, or left by a `break`.
 * Every step runs in the lock's async context. When the lock is lost the next step fails with `LockLostError`. One that is left while it
 * waits for its lock leaves the line, and never begins.
 */
export function lockedGenerator(begin: () => LockedCall, start: () => Generator, busy: BusyAnswer): Generator {
  const leaving = new AbortController();
  const steps = stepsUnderLock(begin, start, busy, leaving);
  // The steps queue up behind one that waits for the lock, so whoever leaves has to end that wait.
  return {
    next: (...sent: [] | [unknown]) => steps.next(...sent),
    return: (value: unknown) => {
      leaving.abort();
      return steps.return(value);
    },
    throw: (error: unknown) => {
      leaving.abort();
      return steps.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined);
    },
  };
}

async function* stepsUnderLock(
  begin: () => LockedCall,
  start: () => Generator,
  busy: BusyAnswer,
  leaving: AbortController,
): Generator {
  const call = begin();
  const waiting = new AbortController();
  const unfollow = follow([leaving.signal, call.options.signal], waiting);
  const outcome = await hold(call, waiting.signal)
    .catch((error: unknown) => {
      if (leaving.signal.aborted) return undefined;
      throw error;
    })
    .finally(unfollow);
  if (outcome === undefined) return undefined;
  if (!outcome.ran) {
    yield* await busy(outcome);
    return undefined;
  }
  const { held } = outcome;
  let failure: Failure | undefined;
  try {
    // It was left in the very moment of the grant.
    return leaving.signal.aborted ? undefined : yield* guarded(held, held.run(start));
  } catch (error) {
    failure = { error };
    throw error;
  } finally {
    await held.leave(failure);
  }
}

/** Runs each step in the lock's async context, and none of them after the lock was lost. */
export function guarded({ lock, run }: Held, generator: AsyncIterator<unknown, unknown, unknown>): Generator {
  const end = async (value: unknown): Promise<IteratorResult<unknown, unknown>> =>
    generator.return === undefined ? { done: true, value } : generator.return(value);
  const fail = async (error: unknown): Promise<IteratorResult<unknown, unknown>> => {
    if (generator.throw === undefined) throw error;
    return generator.throw(error);
  };
  const onward = (advance: () => Promise<IteratorResult<unknown, unknown>>) =>
    lock.signal.aborted
      ? // The generator gets to clean up before its consumer hears of the loss.
        run(() => end(undefined)).then(() => Promise.reject(lock.signal.reason))
      : run(advance);
  return {
    next: (...sent: [] | [unknown]) => onward(() => generator.next(...sent)),
    throw: (error: unknown) => run(() => fail(error)),
    return: (value: unknown) => run(() => end(value)),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined);
    },
  };
}
