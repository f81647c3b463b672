import type { Claim, Waiter } from '../backend.js';
import { EndingFirst, type Ending } from './ending-first.js';

/** A claim that waits. */
export interface Place extends Ending {
  readonly claim: Claim;
  waiter: Waiter;
  /** When it joined. */
  readonly since: number;
  /** When the server stops believing that the waiter lives. */
  ends: number;
  /** Grows by one with each arrival at this key. */
  readonly number: number;
  before: Place | undefined;
  after: Place | undefined;
}

/** Those who wait for one key, by arrival. Every step but a walk takes O(log n) at most. */
export class Line {
  readonly #byOwner = new Map<string, Place>();
  readonly #silent = new EndingFirst<Place>();
  #arrivals = 0;
  #first: Place | undefined;
  #last: Place | undefined;

  get size(): number {
    return this.#byOwner.size;
  }

  get first(): Place | undefined {
    return this.#first;
  }

  /** The claim joins, or keeps its place. */
  join(claim: Claim, waiter: Waiter, since: number): Place {
    const there = this.#byOwner.get(claim.owner);
    if (there) {
      there.waiter = waiter;
      return there;
    }
    const place = {
      ...{ claim, waiter, since, ends: Infinity, number: ++this.#arrivals, rank: 0 },
      ...{ before: this.#last, after: undefined },
    };
    if (this.#last) this.#last.after = place;
    else this.#first = place;
    this.#last = place;
    this.#byOwner.set(claim.owner, place);
    this.#silent.add(place);
    return place;
  }

  /** The waiter was heard of, and has a place until then. */
  believe(place: Place, ends: number): void {
    place.ends = ends;
    this.#silent.moved(place);
  }

  leave(owner: string): void {
    const place = this.#byOwner.get(owner);
    if (!place) return;
    const { before, after } = place;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    this.#byOwner.delete(owner);
    this.#silent.remove(place);
  }

  /** The first so many, by arrival. */
  foremost(most: number): Place[] {
    const places: Place[] = [];
    for (let place = this.#first; place && places.length < most; place = place.after) places.push(place);
    return places;
  }

  /** Takes those out of the line who were not heard of in time. */
  forgetSilent(now: number): void {
    for (let place = this.#silent.first; place && place.ends <= now; place = this.#silent.first)
      this.leave(place.claim.owner);
  }
}
