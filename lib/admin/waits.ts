import type { LockEvent } from '../lock/events.js';

/** How long one bar of the plot stands for, in milliseconds. */
export const BAR_MS = 10_000;
/** How many bars there are: ten minutes. */
const BARS = 60;

/** The waits that ended in the time of one bar. */
export interface Bar {
  /** How many calls had waited. */
  count: number;
  /** The longest of them, in milliseconds. */
  longestMs: number;
  /** How many of them did not get the lock. */
  failed: number;
}

/** The waits of this process that ended in the last minutes. It costs a few numbers, however many there are. */
export class Waits {
  readonly #bars: Bar[] = Array.from({ length: BARS }, empty);
  #latest: number;

  /** @param now in milliseconds, such as `performance.now` */
  constructor(private readonly now: () => number) {
    this.#latest = this.#current();
  }

  note(event: LockEvent): void {
    if (event.type === 'acquired') {
      if (event.contended) this.#add(event.waitedMs, 0);
    } else if ((event.type === 'timeout' || event.type === 'failed') && event.waitedMs >= 1)
      this.#add(event.waitedMs, 1);
  }

  /** The oldest first. */
  bars(): readonly Readonly<Bar>[] {
    this.#turn();
    return Array.from({ length: BARS }, (_, index) => ({ ...this.#at(this.#latest + 1 + index) }));
  }

  #add(waitedMs: number, failed: 0 | 1): void {
    this.#turn();
    const bar = this.#at(this.#latest);
    bar.count++;
    bar.longestMs = Math.max(bar.longestMs, Math.round(waitedMs));
    bar.failed += failed;
  }

  /** Bars whose time is over by a whole turn begin anew. */
  #turn(): void {
    const current = this.#current();
    for (let at = Math.max(this.#latest + 1, current - BARS + 1); at <= current; at++)
      Object.assign(this.#at(at), empty());
    this.#latest = current;
  }

  #current(): number {
    return Math.floor(this.now() / BAR_MS);
  }

  #at(index: number): Bar {
    // There is one for each remainder.
    return this.#bars[index % BARS] as Bar;
  }
}

function empty(): Bar {
  return { count: 0, longestMs: 0, failed: 0 };
}
