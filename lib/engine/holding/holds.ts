import type { LockObserver } from '../../lock/instrumentation.js';
import type { HeldKey } from '../leases/held-key.js';
import type { Loss } from '../leases/loss.js';
import { UnorderedList } from '../time/unordered-list.js';
import { Hold, type HoldOptions, type HoldTools } from './hold.js';
import type { HeldNow } from './hold-events.js';

/** The locks that are held, until nothing of their release is left to do. */
export class Holds {
  readonly #holds = new UnorderedList<Hold>();
  readonly #tools: HoldTools;

  /** @param onReleased called when one of them is over */
  constructor(tools: Omit<HoldTools, 'onReleased'>, onReleased: () => void) {
    this.#tools = {
      ...tools,
      onReleased: (hold) => {
        this.#holds.remove(hold);
        onReleased();
      },
    };
  }

  get size(): number {
    return this.#holds.size;
  }

  begin(keys: readonly HeldKey[], options: HoldOptions, observer: LockObserver | undefined): Hold {
    const hold = new Hold(keys, options, this.#tools, observer);
    this.#holds.add(hold);
    return hold;
  }

  /** What is held at this moment, for the log. */
  get held(): readonly HeldNow[] {
    return [...this.#holds].filter(({ released }) => !released).map((hold) => hold.now);
  }

  /** Releases them all although the work under them has not ended, and tells the work so. */
  async surrender(loss: Loss): Promise<void> {
    await Promise.all([...this.#holds].map((hold) => hold.surrender(loss)));
  }
}
