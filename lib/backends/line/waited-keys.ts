/** The keys that claims of this process wait for. */
export class WaitedKeys {
  readonly #counts = new Map<string, number>();

  /** One more claim waits for the key. Returns how to take that back, once. */
  add(key: string): () => void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return () => {
      const count = (this.#counts.get(key) ?? 1) - 1;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    };
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }
}
