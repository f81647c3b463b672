import { finished, Readable } from 'node:stream';
import { Logger, StreamableFile } from '@nestjs/common';
import { isObservable, Observable, takeUntil } from 'rxjs';
import { LockLostError } from '../../lock/errors.js';
import type { Held } from './held.js';
import { guarded } from './locked-generator.js';
import { lossOf } from './locked-stream.js';

/** What a method gives when its work goes on after it has settled. */
export type Lasting =
  | Observable<unknown>
  | StreamableFile
  | Readable
  | ReadableStream
  | Response
  | AsyncIterable<unknown>;

/** Whether the work of a method goes on after its promise has settled. */
export function isLasting(result: unknown): result is Lasting {
  if (typeof result !== 'object' || result === null) return false;
  if (result instanceof Response) return result.body !== null;
  return isObservable(result) || result instanceof StreamableFile || isAsyncIterable(result);
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Nobody has begun to read them, so nothing else would let their locks go when they are thrown away. */
const unread = new FinalizationRegistry<{ readonly held: Held; readonly where: string }>(({ held, where }) => {
  new Logger('DistributedLockModule').warn(`${where} gave a stream that nobody read; its lock was held until now.`);
  leave(held);
});

/** The same stream, under the lock until it ends: exhausted, failed or left. When the lock is lost it fails with `LockLostError`. */
export function lasting(result: Lasting, held: Held, where: string): Lasting {
  if (result instanceof StreamableFile) return readable(result, result.getStream(), held, where);
  if (result instanceof Readable) return readable(result, result, held, where);
  const made = isObservable(result)
    ? observable(result, held)
    : result instanceof Response
      ? new Response(webStream(result.body ?? new ReadableStream(), held), result)
      : result instanceof ReadableStream
        ? webStream(result, held)
        : iterable(result, held);
  unread.register(made, { held, where }, held);
  return made;
}

/** The failure, if it is one, has gone to the stream's reader. */
function leave(held: Held, error?: unknown): void {
  unread.unregister(held);
  held.leave(error === undefined ? undefined : { error }).catch(() => undefined);
}

function observable(source: Observable<unknown>, held: Held): Observable<unknown> {
  let subscribed = 0;
  let over = false;
  return new Observable((subscriber) => {
    if (over) {
      subscriber.error(
        new LockLostError(
          `The lock on '${held.lock.key}' was let go when this stream had ended. Call its method again.`,
        ),
      );
      return undefined;
    }
    unread.unregister(held);
    subscribed += 1;
    let ended = false;
    const end = async (failure?: { readonly error: unknown }) => {
      if (ended) return;
      ended = true;
      subscribed -= 1;
      over = subscribed === 0;
      if (over) await held.leave(failure);
    };
    const settle = async (failure?: { readonly error: unknown }) => {
      try {
        await end(failure);
      } catch (error) {
        // The stream's own error, or the loss of the lock.
        subscriber.error(error);
      }
      if (failure === undefined) subscriber.complete();
      else subscriber.error(failure.error);
    };
    const subscription = held.run(() =>
      source.pipe(takeUntil(lossOf(held.lock))).subscribe({
        next: (value) => subscriber.next(value),
        error: (error: unknown) => void settle({ error }),
        complete: () => void settle(),
      }),
    );
    return () => {
      subscription.unsubscribe();
      end().catch(() => undefined);
    };
  });
}

/** Itself, because its reader may know it: pipes, files and sockets do. */
function readable<T extends Lasting>(result: T, stream: Readable, held: Held, where: string): T {
  unread.register(result, { held, where }, held);
  const lost = () => stream.destroy(held.lock.signal.reason as Error);
  held.lock.signal.addEventListener('abort', lost, { once: true });
  finished(stream, (error) => {
    held.lock.signal.removeEventListener('abort', lost);
    leave(held, error ?? undefined);
  });
  if (held.lock.signal.aborted) lost();
  return result;
}

function webStream(stream: ReadableStream, held: Held): ReadableStream {
  const reader = stream.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        unread.unregister(held);
        try {
          held.lock.assertHeld();
          const { done, value } = await held.run(() => reader.read());
          if (!done) return controller.enqueue(value);
          await held.leave();
          controller.close();
        } catch (error) {
          leave(held, error);
          controller.error(error);
          await reader.cancel(error).catch(() => undefined);
        }
      },
      async cancel(reason) {
        await reader.cancel(reason);
        leave(held);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The object's other members stay within reach: a database cursor is an iterable with methods. */
function iterable(source: AsyncIterable<unknown>, held: Held): AsyncIterable<unknown> {
  let steps: AsyncGenerator<unknown, unknown, unknown> | undefined;
  const begin = () => (steps ??= stepsOf(source, held));
  const step = (name: 'next' | 'return' | 'throw') => (value: unknown) => begin()[name](value);
  const members = new Map<string | symbol, unknown>([[Symbol.asyncIterator, begin]]);
  for (const name of ['next', 'return', 'throw'] as const) if (name in source) members.set(name, step(name));
  return new Proxy(source, {
    get(target, name) {
      const own = members.get(name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

function stepsOf(source: AsyncIterable<unknown>, held: Held): AsyncGenerator<unknown, unknown, unknown> {
  unread.unregister(held);
  const steps = guarded(
    held,
    held.run(() => source[Symbol.asyncIterator]()),
  );
  const watched = async (advance: () => Promise<IteratorResult<unknown, unknown>>) => {
    let result: IteratorResult<unknown, unknown>;
    try {
      result = await advance();
    } catch (error) {
      leave(held, error);
      throw error;
    }
    if (result.done === true) await held.leave();
    return result;
  };
  return {
    next: (value: unknown) => watched(() => steps.next(value)),
    return: (value: unknown) => watched(() => steps.return(value)),
    throw: (error: unknown) => watched(() => steps.throw(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined);
    },
  };
}
