import type { Clock } from '../../lib/engine/time/clock.js';

interface Timer {
  readonly run: () => void;
  cancelled: boolean;
}

interface Moment extends Timer {
  readonly time: number;
  /** Of two moments at one time the one that was asked for first comes first. */
  readonly order: number;
}

/** What all clocks of one virtual world share: the present, and what happens when. */
class Timeline {
  now = 0;
  #count = 0;
  /** A binary heap. */
  readonly #moments: Moment[] = [];

  at(time: number, run: () => void): Moment {
    const moment: Moment = { time: Math.max(time, this.now), order: this.#count++, run, cancelled: false };
    const heap = this.#moments;
    let hole = heap.length;
    for (let above = (hole - 1) >> 1; hole > 0; above = (hole - 1) >> 1) {
      const parent = heap[above];
      if (!parent || !isBefore(moment, parent)) break;
      heap[hole] = parent;
      hole = above;
    }
    heap[hole] = moment;
    return moment;
  }

  /** The next moment up to that time, taken out. */
  next(until: number): Moment | undefined {
    for (let first = this.#moments[0]; first && first.time <= until; first = this.#moments[0]) {
      this.#removeFirst();
      if (!first.cancelled) return first;
    }
    return undefined;
  }

  #removeFirst(): void {
    const heap = this.#moments;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let hole = 0;
    for (;;) {
      const left = heap[2 * hole + 1];
      const right = heap[2 * hole + 2];
      if (!left) break;
      const [least, at] = right && isBefore(right, left) ? [right, 2 * hole + 2] : [left, 2 * hole + 1];
      if (isBefore(last, least)) break;
      heap[hole] = least;
      hole = at;
    }
    heap[hole] = last;
  }
}

function isBefore(one: Moment, other: Moment): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

export interface VirtualProcess {
  /** How fast this clock runs beside the world's; clocks of real machines differ by well under 0.001. @default 1 */
  readonly rate?: number;
  /** What this clock shows when the world's shows 0: those of different machines have nothing to do with each other. @default 0 */
  readonly offset?: number;
}

/**
 * The engine's clock for tests: time passes only when it is told to, timers run in their order, and between any two of them
 * everything that promises have to do is done. So a test with hours in it takes milliseconds, and always takes the same course.
 *
 * ```ts
 * const clock = new VirtualClock();
 * clock.after(3_600_000, () => remind());
 * await clock.advance(3_600_000);
 * ```
 *
 * Each clock also stands for the process that it belongs to, which can be frozen as a long computation or SIGSTOP does, and
 * killed. `process()` makes a clock for one more process of the same world.
 */
export class VirtualClock implements Clock {
  #timeline = new Timeline();
  #rate = 1;
  #offset = 0;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  readonly #armed = new Set<Timer>();
  /** What arrived and came due while the process stood still. */
  #arrived: (() => void)[] = [];
  #missed: Timer[] = [];
  #behind = 0;

  /** A clock for one more process, in the same time. */
  process({ rate = 1, offset = 0 }: VirtualProcess = {}): VirtualClock {
    const clock = new VirtualClock();
    clock.#timeline = this.#timeline;
    clock.#rate = rate;
    clock.#offset = offset;
    return clock;
  }

  now(): number {
    return this.#timeline.now * this.#rate + this.#offset;
  }

  limit(ms: number, run: () => void): () => void {
    return this.after(ms, run);
  }

  /** As in Node, a timer takes at least a millisecond, and whole ones. */
  after(ms: number, run: () => void, _background?: boolean): () => void {
    const timer: Timer = { run, cancelled: false };
    this.#armed.add(timer);
    const moment = this.#timeline.at(this.#timeline.now + Math.max(1, Math.ceil(ms)) / this.#rate, () =>
      this.#fire(timer),
    );
    return () => {
      timer.cancelled = true;
      moment.cancelled = true;
      this.#armed.delete(timer);
    };
  }

  /** Timers that were set and neither ran nor were cancelled. */
  get pending(): number {
    return this.#armed.size;
  }

  /** Whether all that is due in this process has been done, so that whatever it should know by now it does. */
  get upToDate(): boolean {
    return this.#state === 'running' && this.#behind === 0;
  }

  get alive(): boolean {
    return this.#state !== 'dead';
  }

  /** Lets time pass. */
  async advance(ms: number): Promise<void> {
    const end = this.#timeline.now + ms / this.#rate;
    await allPromises();
    while (await this.step(end));
    this.#timeline.now = end;
  }

  /** Lets time pass until the promise settles, at most that long. */
  async run<T>(promise: Promise<T>, atMost = 3_600_000): Promise<T> {
    const end = this.#timeline.now + atMost / this.#rate;
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    await allPromises();
    while (!settled) {
      if (!(await this.step(end)))
        throw new Error(`Nothing more happens, or not within ${atMost} virtual ms, and the promise has not settled.`);
    }
    return promise;
  }

  /** Does the next thing that is due up to a time of the world, and all that promises make of it. Resolves to whether there was one. */
  async step(until = Infinity): Promise<boolean> {
    const moment = this.#timeline.next(until);
    if (!moment) return false;
    this.#timeline.now = moment.time;
    moment.run();
    await allPromises();
    return true;
  }

  /** I/O: calls `run` now, or when the process runs again. */
  receive(run: () => void): void {
    if (this.#state === 'running') run();
    else if (this.#state === 'frozen') this.#arrived.push(run);
  }

  /** Time goes on, but no timer of this process runs and nothing reaches it. */
  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  /** Everything that was missed happens, all at once: first what arrived, then the timers. */
  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    const missed = [
      ...this.#arrived.map((run) => () => this.receive(run)),
      ...this.#missed.map((timer) => () => this.#fire(timer)),
    ];
    this.#arrived = [];
    this.#missed = [];
    this.#behind += missed.length;
    for (const run of missed) {
      this.#timeline.at(this.#timeline.now, () => {
        this.#behind--;
        run();
      });
    }
  }

  /** The process is gone without a word. */
  kill(): void {
    this.#state = 'dead';
    this.#arrived = [];
    this.#missed = [];
    this.#armed.clear();
  }

  #fire(timer: Timer): void {
    if (timer.cancelled || this.#state === 'dead') return;
    if (this.#state === 'frozen') {
      this.#missed.push(timer);
      return;
    }
    this.#armed.delete(timer);
    timer.run();
  }
}

let drains = 0;

/**
 * Node runs `nextTick` callbacks when no promise has anything left to do. Now and then the real event loop gets its turn, or
 * nobody could stop a test that runs for ever.
 */
function allPromises(): Promise<void> {
  return new Promise((resolve) => {
    if (++drains % 1_000 === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}
