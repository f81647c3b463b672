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
  /** Made for the first who waits: most keys that are locked have nobody in line. */
  #index: { readonly byOwner: Map<string, Place>; readonly silent: EndingFirst<Place> } | undefined;
  #arrivals = 0;
  #first: Place | undefined;
  #last: Place | undefined;

  get size(): number {
    return this.#index?.byOwner.size ?? 0;
  }

  get first(): Place | undefined {
    return this.#first;
  }

  /** The claim joins, or keeps its place. */
  join(claim: Claim, waiter: Waiter, since: number): Place {
    const { byOwner, silent } = (this.#index ??= { byOwner: new Map(), silent: new EndingFirst() });
    const there = byOwner.get(claim.owner);
    if (there) {
      there.waiter = waiter;
      return there;
    }
    const place: Place = {
      claim,
      waiter,
      since,
      ends: Infinity,
      number: ++this.#arrivals,
      rank: 0,
      before: this.#last,
      after: undefined,
    };
    if (this.#last) this.#last.after = place;
    else this.#first = place;
    this.#last = place;
    byOwner.set(claim.owner, place);
    silent.add(place);
    return place;
  }

  /** The waiter was heard of, and has a place until then. */
  believe(place: Place, ends: number): void {
    place.ends = ends;
    this.#index?.silent.moved(place);
  }

  leave(owner: string): void {
    const place = this.#index?.byOwner.get(owner);
    if (!this.#index || !place) return;
    const { before, after } = place;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    this.#index.byOwner.delete(owner);
    this.#index.silent.remove(place);
  }

  /** The first so many, by arrival. */
  foremost(most: number): Place[] {
    const places: Place[] = [];
    for (let place = this.#first; place && places.length < most; place = place.after) places.push(place);
    return places;
  }

  /** Takes those out of the line who were not heard of in time. */
  forgetSilent(now: number): void {
    const silent = this.#index?.silent;
    for (let place = silent?.first; place && place.ends <= now; place = silent?.first) this.leave(place.claim.owner);
  }
}
