import { AsyncResource } from 'node:async_hooks';

/** How many run in one turn of the event loop: some milliseconds of work, also where each of them asks the server. */
export const PACE = 100;

/** What a clock can do later. */
interface Later {
  after(ms: number, run: () => void): unknown;
}

/**
 * Runs what it is given, in order, so many in a turn of the event loop. Thousands that fall due together, are woken together or fail
 * together would hold up everything else. One alone runs at once.
 */
export class Pacer {
  #queue: (() => void)[] = [];
  /** How far into the queue it is. */
  #next = 0;
  /** How many ran in this turn. */
  #ran = 0;
  /** Not in the async context of whoever was first: what waits here is not his. */
  readonly #turned = AsyncResource.bind(() => this.#turn());

  constructor(
    private readonly clock: Later,
    private readonly pace = PACE,
  ) {}

  run(work: () => void): void {
    if (this.#ran >= this.pace || this.#next < this.#queue.length) {
      this.#queue.push(work);
      return;
    }
    this.#count();
    work();
  }

  #turn(): void {
    this.#ran = 0;
    for (let work = this.#queue[this.#next]; work && this.#ran < this.pace; work = this.#queue[this.#next]) {
      this.#next++;
      this.#count();
      work();
    }
    if (this.#next < this.#queue.length) return;
    this.#queue = [];
    this.#next = 0;
  }

  #count(): void {
    if (++this.#ran === 1) this.clock.after(0, this.#turned);
  }
}
