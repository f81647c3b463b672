import type { Hold } from '../holding/hold.js';
import type { OnBusy, ResolvedOptions } from '../options/options.js';
import { UnorderedList } from '../time/unordered-list.js';
import { Acquisition, type AcquisitionTools } from './acquisition.js';

/** The calls of `acquire` that have not ended. */
export class Acquisitions {
  readonly #acquisitions = new UnorderedList<Acquisition>();
  readonly #tools: AcquisitionTools;

  /** @param onOver called when one of them ends */
  constructor(tools: Omit<AcquisitionTools, 'onOver'>, onOver: () => void) {
    this.#tools = {
      ...tools,
      onOver: (acquisition) => {
        this.#acquisitions.remove(acquisition);
        onOver();
      },
    };
  }

  get size(): number {
    return this.#acquisitions.size;
  }

  /** @param once never waits, and how a busy key is reported; resolves to `undefined` if a key is busy */
  run(keys: readonly string[], options: ResolvedOptions, once?: OnBusy): Promise<Hold | undefined> {
    const acquisition = new Acquisition(keys, once ? { ...options, wait: 0, onBusy: once } : options, this.#tools);
    this.#acquisitions.add(acquisition);
    return acquisition.run(once !== undefined);
  }

  /** Cancels all of them. Each rejects with the reason for its key. */
  cancel(reasonFor: (key: string) => Error): void {
    for (const acquisition of this.#acquisitions) acquisition.cancel(reasonFor(acquisition.key));
  }
}
