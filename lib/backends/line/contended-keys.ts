/** The keys that more than one claim of this process is at, as a holder or as a waiter. */
export class ContendedKeys {
  readonly #counts = new Map<string, number>();

  /** One more claim is at the key. Returns how to take that back; a second call does nothing. */
  add(key: string): () => void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let there = true;
    return () => {
      if (!there) return;
      there = false;
      const count = (this.#counts.get(key) ?? 1) - 1;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    };
  }

  has(key: string): boolean {
    return (this.#counts.get(key) ?? 0) > 1;
  }
}
