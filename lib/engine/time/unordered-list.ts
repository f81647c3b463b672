/**
 * A set of things that come and go fast, in no order. Each knows its place, so both take the same short time however many there are.
 *
 * A `Set` or `Map` does it as well, but not for long: V8 gives one that was filled up a new table, and lets the old table point to
 * it. Once a table has got among the old objects, its successors follow, and with them all that was ever in them, until a full
 * garbage collection finds out that everybody is dead. With many locks at once that took half of the time.
 */
export class UnorderedList<T extends Listed> implements Iterable<T> {
  readonly #things: T[] = [];

  add(thing: T): void {
    thing.place = this.#things.push(thing) - 1;
  }

  /** Takes it off; returns whether it was on. */
  remove(thing: T): boolean {
    const { place } = thing;
    if (place < 0) return false;
    const last = this.#things.pop();
    if (last && last !== thing) {
      this.#things[place] = last;
      last.place = place;
    }
    thing.place = NOWHERE;
    return true;
  }

  get size(): number {
    return this.#things.length;
  }

  /** Those that are on it now; it may change meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#things][Symbol.iterator]();
  }
}

/** Something for one roster at a time. */
export interface Listed {
  /** Where it stands on its roster; only that touches it. At first, and when it is on none: `NOWHERE`. */
  place: number;
}

export const NOWHERE = -1;
