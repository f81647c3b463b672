import type { LockMode } from '../../backends/backend.js';

/** A released lock whose end has not been reported yet. */
export interface Ending {
  readonly keys: readonly string[];
  readonly mode: LockMode;
  readonly limit: number;
  /** Reports that it was released. */
  tell(): void;
}

/**
 * Reports the end of a lock before the next holder of its key in this process is reported. The next holder can enter before the server
 * answers the release, because it got the key directly or its push came sooner.
 */
export class Endings {
  /** Almost every key has one. */
  readonly #byKey = new Map<string, Ending | Set<Ending>>();

  expect(ending: Ending): void {
    for (const key of ending.keys) {
      const others = this.#byKey.get(key);
      if (others === undefined) this.#byKey.set(key, ending);
      else this.#byKey.set(key, (others instanceof Set ? others : new Set([others])).add(ending));
    }
  }

  forget(ending: Ending): void {
    if (this.#byKey.size === 0) return;
    for (const key of ending.keys) {
      const endings = this.#byKey.get(key);
      if (endings === ending) this.#byKey.delete(key);
      else if (endings instanceof Set && endings.delete(ending) && endings.size === 0) this.#byKey.delete(key);
    }
  }

  /** These keys have a new holder. Every lock that could not be held beside it has ended. */
  next({ keys, mode, limit }: Omit<Ending, 'tell'>): void {
    if (this.#byKey.size === 0) return;
    const alone = mode === 'exclusive' && limit === 1;
    for (const key of keys) {
      const found = this.#byKey.get(key);
      for (const ending of found === undefined ? NONE : found instanceof Set ? found : [found]) {
        if (alone || (ending.mode === 'exclusive' && ending.limit === 1)) ending.tell();
      }
    }
  }
}

const NONE: readonly Ending[] = [];
