import type { HeldKey } from '../leases/held-key.js';
import { joined } from '../options/keys.js';

/** The keys of one lock, which are held and lost together. */
export class HeldKeys implements Iterable<HeldKey> {
  /** Names the acquisition: the owner of the first key. */
  readonly owner: string;
  /** The highest token of all keys. */
  readonly fencingToken: bigint | undefined;

  constructor(private readonly all: readonly HeldKey[]) {
    this.owner = all[0]?.claim.owner ?? '';
    for (const { fencingToken: token } of all) {
      if (token !== undefined && !(this.fencingToken !== undefined && token <= this.fencingToken)) {
        this.fencingToken = token;
      }
    }
  }

  [Symbol.iterator](): Iterator<HeldKey> {
    return this.all[Symbol.iterator]();
  }

  get names(): readonly string[] {
    return this.all.map(({ key }) => key);
  }

  get joined(): string {
    return joined(this.names);
  }

  get fencingTokens(): ReadonlyMap<string, bigint> {
    return new Map(this.all.flatMap(({ key, fencingToken: token }) => (token === undefined ? [] : [[key, token]])));
  }

  /** Whether every lease is still valid. */
  get live(): boolean {
    for (const { lease } of this.all) if (!lease.live) return false;
    return true;
  }

  get remainingMs(): number {
    return Math.min(...this.all.map(({ lease }) => lease.remainingMs));
  }

  /** Does it for all keys at once. */
  each<T>(run: (held: HeldKey) => Promise<T>): Promise<readonly T[]> {
    const [only] = this.all;
    // Almost every lock has one key.
    return this.all.length === 1 && only ? run(only).then((one) => [one]) : Promise.all(this.all.map(run));
  }
}
