/** Something that ends by itself at a time, in one queue at most. */
export interface Ending {
  /** In milliseconds of the table's clock. */
  readonly ends: number;
  /** Where it stands in its queue; only the queue touches it. */
  rank: number;
}

/** A binary heap by end: adding, moving and removing one of n takes O(log n), and the earliest is at hand. */
export class EndingFirst<T extends Ending> {
  readonly #heap: T[] = [];

  get first(): T | undefined {
    return this.#heap[0];
  }

  add(thing: T): void {
    thing.rank = this.#heap.push(thing) - 1;
    this.#rise(thing);
  }

  /** Its end has changed. */
  moved(thing: T): void {
    this.#rise(thing);
    this.#sink(thing);
  }

  remove(thing: T): void {
    const last = this.#heap.pop();
    if (!last || last === thing) return;
    this.#put(last, thing.rank);
    this.moved(last);
  }

  #rise(thing: T): void {
    while (thing.rank > 0) {
      const parent = this.#heap[(thing.rank - 1) >> 1];
      if (!parent || parent.ends <= thing.ends) return;
      this.#swap(parent, thing);
    }
  }

  #sink(thing: T): void {
    for (;;) {
      const [left, right] = [this.#heap[2 * thing.rank + 1], this.#heap[2 * thing.rank + 2]];
      const child = left && right && right.ends < left.ends ? right : left;
      if (!child || child.ends >= thing.ends) return;
      this.#swap(thing, child);
    }
  }

  #swap(upper: T, lower: T): void {
    const { rank } = upper;
    this.#put(upper, lower.rank);
    this.#put(lower, rank);
  }

  #put(thing: T, rank: number): void {
    this.#heap[rank] = thing;
    thing.rank = rank;
  }
}
