import type { LockEvent, LockEventListener } from '../../lock/events.js';
import { orWarn } from './or-warn.js';

/** Tells of an event; it is only made when somebody listens. */
export type Emit = (make: () => LockEvent) => void;

/** Those who listen to what happens to the locks of an engine. */
export class EventListeners {
  readonly #listeners = new Set<LockEventListener>();

  /** Calls the listener for every event; returns how to stop that. */
  listen(listener: LockEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  readonly emit: Emit = (make) => {
    if (this.#listeners.size === 0) return;
    const event = make();
    for (const listener of this.#listeners) orWarn('LockEventListener', () => listener(event));
  };
}
