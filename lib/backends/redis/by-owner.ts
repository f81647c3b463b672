/** Something that is looked up by its owner. */
export interface Owned {
  readonly owner: string;
  /** The next one in the same bucket; only `ByOwner` touches it. */
  next: this | undefined;
}

/** Some thousands is what a process waits for at most, nearly always. Twice as many take twice as long, and that is all. */
const BUCKETS = 1_024;

/**
 * What is there for each owner: a small hash table. A `Map` does the same, but entries that come and go by the ten thousand a second
 * make it the garbage collector's main customer; `UnorderedList` has why.
 */
export class ByOwner<T extends Owned> implements Iterable<T> {
  readonly #buckets: (T | undefined)[] = Array.from({ length: BUCKETS }, () => undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(owner: string): T | undefined {
    for (let one = this.#buckets[bucketOf(owner)]; one; one = one.next) if (one.owner === owner) return one;
    return undefined;
  }

  /** In the place of another one of the same owner. */
  set(thing: T): void {
    this.delete(thing.owner);
    const bucket = bucketOf(thing.owner);
    thing.next = this.#buckets[bucket];
    this.#buckets[bucket] = thing;
    this.#size++;
  }

  delete(owner: string): void {
    const bucket = bucketOf(owner);
    let before: T | undefined;
    for (let one = this.#buckets[bucket]; one; before = one, one = one.next) {
      if (one.owner !== owner) continue;
      if (before) before.next = one.next;
      else this.#buckets[bucket] = one.next;
      one.next = undefined;
      this.#size--;
      return;
    }
  }

  /** Those that are there now; some may go meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    const all: T[] = [];
    for (const first of this.#buckets) for (let one = first; one; one = one.next) all.push(one);
    return all[Symbol.iterator]();
  }
}

/** Owners end in a number that grows by one each time: its last digits spread them evenly. */
function bucketOf(owner: string): number {
  const end = owner.length - 1;
  let number = 0;
  for (let i = Math.max(0, end - 3); i <= end; i++) number = number * 10 + owner.charCodeAt(i);
  return number % BUCKETS;
}
