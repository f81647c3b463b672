import { EndingFirst, type Ending } from './ending-first.js';

/** One who holds a key, until a time. */
export interface Holder extends Ending {
  readonly claim: { readonly owner: string };
}

/** Finds one of many by owner and by end. */
interface Index<T> {
  readonly byOwner: Map<string, T>;
  readonly byEnd: EndingFirst<T & Holder>;
}

/**
 * Those who hold one key. Nearly always that is one, kept in a field, because a map and a heap for each locked key would cost more
 * than the rest of the table. From the second one on there is an index, so that every step takes O(log n) at most.
 */
export class Holders<T extends Holder> implements Iterable<T> {
  /** The only one, while there is no index. */
  #only: T | undefined;
  #index: Index<T> | undefined;

  get size(): number {
    if (this.#index) return this.#index.byOwner.size;
    return this.#only ? 1 : 0;
  }

  /** The one that ends first. */
  get first(): T | undefined {
    return this.#index ? this.#index.byEnd.first : this.#only;
  }

  get(owner: string): T | undefined {
    if (this.#index) return this.#index.byOwner.get(owner);
    return this.#only?.claim.owner === owner ? this.#only : undefined;
  }

  add(holder: T): void {
    if (!this.#index && !this.#only) {
      this.#only = holder;
      return;
    }
    this.#index ??= this.#indexed();
    this.#index.byOwner.set(holder.claim.owner, holder);
    this.#index.byEnd.add(holder);
  }

  /** Its end has changed. */
  moved(holder: T): void {
    this.#index?.byEnd.moved(holder);
  }

  remove(holder: T): void {
    if (this.#index) {
      this.#index.byOwner.delete(holder.claim.owner);
      this.#index.byEnd.remove(holder);
    } else if (this.#only === holder) {
      this.#only = undefined;
    }
  }

  /** Those who hold it now; they may change meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    const holders = this.#index ? [...this.#index.byOwner.values()] : this.#only ? [this.#only] : [];
    return holders[Symbol.iterator]();
  }

  #indexed(): Index<T> {
    const index: Index<T> = { byOwner: new Map(), byEnd: new EndingFirst() };
    if (this.#only) {
      index.byOwner.set(this.#only.claim.owner, this.#only);
      index.byEnd.add(this.#only);
      this.#only = undefined;
    }
    return index;
  }
}
