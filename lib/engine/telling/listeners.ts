import { channel } from 'node:diagnostics_channel';
import type { LockEvent, LockEventListener, LockEventOf, LockEventType } from '../../lock/events.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import { warnOf } from './or-warn.js';

/** Tells of an event; it is only made when somebody listens. @param observer who follows this call for a lock */
export type Emit = <Type extends LockEventType>(
  type: Type,
  make: () => LockEventOf<Type>,
  observer?: LockObserver,
) => void;

const NOBODY: ReadonlySet<LockEventListener> = new Set();

/** For whatever else in the process subscribes to it. */
const published = channel('nestjs-distributed-lock:event');

/** Those who listen to what happens to the locks of an engine. */
export class EventListeners {
  readonly #listeners = new Map<LockEventType | 'all', Set<LockEventListener>>();

  /**
   * Calls the listener for every event, or only for those of some types: the others then cost nothing.
   * @returns how to stop that
   */
  listen(listener: LockEventListener, types: readonly (LockEventType | 'all')[] = ['all']): () => void {
    // An object of its own, so that one function may listen twice.
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

  /** Whether anybody hears of events of that type. */
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
