import type { LockObserver } from '../../lock/instrumentation.js';
import type { HeldKey } from '../leases/held-key.js';
import type { Loss } from '../leases/loss.js';
import type { OnShutdown } from '../options/options.js';
import { UnorderedList } from '../time/unordered-list.js';
import { Hold, type HoldOptions, type HoldTools } from './hold.js';
import type { HeldNow } from './hold-events.js';

/** The held locks, until their releases need nothing more. */
export class Holds {
  readonly #holds = new UnorderedList<Hold>();
  readonly #tools: HoldTools;
  /** The reason to tell the shutdown to locks that begin later. */
  #told: 'nobody' | OnShutdown = 'nobody';

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
    if (this.#isTold(hold)) hold.shutDown();
    return hold;
  }

  /** What is held now, for the log. */
  get held(): readonly HeldNow[] {
    return [...this.#holds].filter(({ held }) => held).map((hold) => hold.now);
  }

  /** Tells work of the shutdown: work with `abort` only, or all work, because its time is over. */
  shutDown(which: OnShutdown): void {
    this.#told = which;
    for (const hold of [...this.#holds]) if (this.#isTold(hold)) hold.shutDown();
  }

  /** The number of held locks whose work is told at once. */
  get aborting(): number {
    return [...this.#holds].filter(({ onShutdown }) => onShutdown === 'abort').length;
  }

  #isTold({ onShutdown }: Hold): boolean {
    return this.#told === 'finish' || this.#told === onShutdown;
  }

  /** Releases all of them although their work has not ended, and tells the work. */
  async surrender(loss: Loss): Promise<void> {
    await Promise.all([...this.#holds].map((hold) => hold.surrender(loss)));
  }
}
