import { defer, merge, Observable, type ObservableInput, Subject, takeUntil } from 'rxjs';
import type { Lock } from '../../lock/lock.js';
import { follow } from './abort-with.js';
import type { BusyAnswer } from './busy.js';
import { type LockedCall, underLock } from './under-lock.js';

export interface StreamHold {
  /**
   * Keeps the lock on after the stream has ended, until this resolves; the subscriber is told of the end at once. Called at the end,
   * also when the subscriber has left; `undefined` when there is nothing to stay for.
   */
  readonly stay?: (lock: Lock) => Promise<unknown> | undefined;
  /** Ends the wait for the lock, as unsubscribing does. */
  readonly signal?: AbortSignal;
  /** A subscriber that leaves does not end the source before its first value: until then it may be work that cannot be stopped. */
  readonly lingers?: boolean;
}

/**
 * A cold stream that holds the lock while it is subscribed: each subscription acquires, subscribes to the source inside the lock, and
 * releases on complete, error or unsubscribe. When the lock is lost the source is unsubscribed and the stream ends with
 * `LockLostError`.
 */
export function lockedStream<T>(
  begin: () => LockedCall,
  source: (lock: Lock) => ObservableInput<T>,
  busy: BusyAnswer,
  { stay, signal, lingers = false }: StreamHold = {},
): Observable<T> {
  return new Observable<T>((subscriber) => {
    const leaving = new AbortController();
    const left = new Subject<void>();
    let yielded = false;
    const leave = () => {
      if (yielded || !lingers) left.next();
    };
    subscriber.add(leave);

    const flow = (lock: Lock) =>
      new Promise<void>((resolve, reject) => {
        // The subscriber may have left in the very moment of the grant.
        if (subscriber.closed) return resolve();
        const next = (value: T) => {
          yielded = true;
          if (subscriber.closed) leave();
          else subscriber.next(value);
        };
        defer(() => source(lock))
          .pipe(takeUntil(merge(left, lossOf(lock))))
          .subscribe({ next, error: reject, complete: resolve });
      });

    const work = async (lock: Lock) => {
      const [end] = await Promise.allSettled([flow(lock)]);
      const staying = stay?.(lock);
      if (staying === undefined) {
        if (end.status === 'rejected') throw end.reason;
        return;
      }
      if (end.status === 'rejected') subscriber.error(end.reason);
      else subscriber.complete();
      await staying;
    };

    const hold = async () => {
      const call = begin();
      const unfollow = follow([signal, call.options.signal], leaving);
      try {
        const outcome = await underLock(call, work, leaving.signal);
        // `onBusy` stands for the method, whose type its value was checked against.
        if (!outcome.ran) for (const value of await busy(outcome)) subscriber.next(value as T);
      } finally {
        unfollow();
      }
    };

    hold().then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    );
    return () => leaving.abort();
  });
}

/** Fails when the lock is lost. */
export function lossOf({ signal }: Lock): Observable<never> {
  return new Observable((subscriber) => {
    const lost = () => subscriber.error(signal.reason);
    if (signal.aborted) return lost();
    signal.addEventListener('abort', lost, { once: true });
    return () => signal.removeEventListener('abort', lost);
  });
}
