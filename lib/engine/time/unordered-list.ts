/**
 * A set of items that come and go fast, in no order. Each item knows its place, so adding and removing take the same short time however
 * many there are.
 *
 * A `Set` or `Map` does this too, but not for long. When one is full, V8 gives it a new table, and the old table points to the new one.
 * Once a table has reached the old generation, its successors follow, with everything that was ever in them, until a full garbage
 * collection. With many locks at once that took half of the time.
 */
export class UnorderedList<T extends Listed> implements Iterable<T> {
  readonly #things: T[] = [];

  add(thing: T): void {
    thing.place = this.#things.push(thing) - 1;
  }

  /** Removes it. Returns whether it was on the list. */
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

  /** The items that are on the list now. The list may change meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#things][Symbol.iterator]();
  }
}

/** An item of one list at a time. */
export interface Listed {
  /** Its place on the list, which only the list changes. `NOWHERE` while it is on none. */
  place: number;
}

export const NOWHERE = -1;
