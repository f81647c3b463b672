import type { NodeEvent } from './connection.js';

/** Hears of one node once, and then no more. */
export interface WatchListener {
  /**
   * The node was changed or deleted. `sure`: nothing happened to it in between, for it was watched from when it was read. Otherwise the
   * connection was lost meanwhile, and several things may have happened of which only the last is told.
   */
  happened(type: NodeEvent['type'], sure: boolean): void;
}

/** The watches of one session, which outlive its connections. */
export class Watches {
  /** By path. A server knows one watch for each path and connection, however many listen here. */
  readonly #listeners = new Map<string, Map<WatchListener, { sure: boolean }>>();

  add(path: string, listener: WatchListener): void {
    let listeners = this.#listeners.get(path);
    if (!listeners) this.#listeners.set(path, (listeners = new Map()));
    listeners.set(listener, { sure: true });
  }

  remove(path: string, listener: WatchListener): void {
    const listeners = this.#listeners.get(path);
    if (listeners?.delete(listener) && listeners.size === 0) this.#listeners.delete(path);
  }

  tell({ path, type }: NodeEvent): void {
    const listeners = this.#listeners.get(path);
    this.#listeners.delete(path);
    for (const [listener, { sure }] of listeners ?? []) listener.happened(type, sure);
  }

  /** The connection was lost. */
  doubt(): void {
    for (const listeners of this.#listeners.values()) for (const watch of listeners.values()) watch.sure = false;
  }

  /** Whatever was watched is gone with its session. */
  tellAll(): void {
    for (const path of [...this.#listeners.keys()]) this.tell({ path, type: 'other' });
  }

  get paths(): readonly string[] {
    return [...this.#listeners.keys()];
  }
}
