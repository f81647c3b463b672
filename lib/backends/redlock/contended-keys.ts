/** How long a key counts as contended after somebody else was met there, in milliseconds. */
const REMEMBERED_MS = 1_000;

/**
 * Keys that others want too, as far as this process has seen lately. Whoever asks all servers at once for such a key takes votes from the one
 * whose turn it is, and gives them back a moment later: the hand-over waits for that.
 */
export class ContendedKeys {
  /** When each was last seen so, the latest last. */
  readonly #seenAt = new Map<string, number>();

  constructor(private readonly now: () => number) {}

  add(key: string): void {
    this.#seenAt.delete(key);
    this.#seenAt.set(key, this.now());
    const since = this.now() - REMEMBERED_MS;
    for (const [old, at] of this.#seenAt) {
      if (at >= since) return;
      this.#seenAt.delete(old);
    }
  }

  has(key: string): boolean {
    const at = this.#seenAt.get(key);
    return at !== undefined && at >= this.now() - REMEMBERED_MS;
  }
}
