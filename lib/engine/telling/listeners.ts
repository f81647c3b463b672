import { channel } from 'node:diagnostics_channel';
import type { LockEvent, LockEventListener, LockEventOf, LockEventType } from '../../lock/events.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import { warnOf } from './or-warn.js';

/**
 * Emits an event. The event is built only if somebody listens.
 * @param observer observes this call for a lock
 */
export type Emit = <Type extends LockEventType>(
  type: Type,
  make: () => LockEventOf<Type>,
  observer?: LockObserver,
) => void;

const NOBODY: ReadonlySet<LockEventListener> = new Set();

/** The channel of `node:diagnostics_channel`, for any other subscriber in the process. */
const published = channel('nestjs-distributed-lock:event');

/** The listeners to the lock events of an engine. */
export class EventListeners {
  readonly #listeners = new Map<LockEventType | 'all', Set<LockEventListener>>();

  /**
   * Calls the listener for every event, or only for some types. Types that nobody listens to cost nothing.
   * @returns how to unsubscribe
   */
  listen(listener: LockEventListener, types: readonly (LockEventType | 'all')[] = ['all']): () => void {
    // Wrap it in an object, so that one function may listen twice.
    const listening: LockEventListener = (event) => listener(event);
    for (const type of types) this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listening));
    return () => {
      for (const type of types) {
        const some = this.#listeners.get(type);
        some?.delete(listening);
        if (some?.size === 0) this.#listeners.delete(type);
      }
    };
  }

  /** Whether anybody listens to events of that type. */
  hears(type: LockEventType): boolean {
    return this.#listeners.has('all') || this.#listeners.has(type) || published.hasSubscribers;
  }

  readonly emit: Emit = (type, make, observer) => {
    if (observer === undefined && !this.hears(type)) return;
    const event: LockEvent = make();
    if (observer) {
      try {
        observer.onEvent(event);
      } catch (error) {
        warnOf('LockInstrumentation', error);
      }
    }
    for (const listener of this.#listeners.get(type) ?? NOBODY) tell(listener, event);
    for (const listener of this.#listeners.get('all') ?? NOBODY) tell(listener, event);
    if (published.hasSubscribers) published.publish(event);
  };
}

function tell(listener: LockEventListener, event: LockEvent): void {
  try {
    listener(event);
  } catch (error) {
    warnOf('LockEventListener', error);
  }
}
