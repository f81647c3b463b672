import { PACE } from './pacer.js';
import { type Listed, NOWHERE, UnorderedList } from './unordered-list.js';
import { machineTime, type TimeSource, WakingTime } from './waking-time.js';

/** Where the engine's time comes from. Handed in, so that the whole engine also runs under a virtual clock. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. What the machine slept through counts, where that can be known. */
  now(): number;
  /**
   * Calls `run` once after `ms`; returns how to cancel it. A `background` timer does not keep the process alive.
   */
  after(ms: number, run: () => void, background?: boolean): () => void;
  /** As `after`, for the time limits of calls: nearly all of them are cancelled a moment later, so this has to be cheap. */
  limit(ms: number, run: () => void): () => void;
}

/** Node truncates longer timers to 1 ms, so they are cut to this and set again. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** How soon it is noticed, in milliseconds, that the machine has slept, when nobody asks for the time. */
const LOOKOUT_MS = 1_000;

/**
 * A timer that comes later than this, in milliseconds, comes late because this process stood still. Node runs timers before it reads
 * what has arrived, so an answer that came in time would count as late.
 */
const STALL_MS = 10;

interface Timer extends Listed {
  readonly at: number;
  readonly run: () => void;
  readonly background: boolean;
  handle: NodeJS.Timeout | undefined;
}

interface Limit extends Listed {
  readonly at: number;
  readonly run: () => void;
}

/** The clock of this machine. */
export class SystemClock implements Clock {
  readonly #limits = new UnorderedList<Limit>();
  /** One timer for all limits, set for the earliest. It stays when that is cancelled: it fires for nothing, and that seldom. */
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Infinity;

  /** Timers that were asked for, so that they can be set anew when the machine has slept. */
  readonly #timers = new UnorderedList<Timer>();
  readonly #time: WakingTime;
  #lookout: NodeJS.Timeout | undefined;

  constructor(source: TimeSource = machineTime) {
    this.#time = new WakingTime(source, () => this.#setAnew());
  }

  now(): number {
    return this.#time.now();
  }

  after(ms: number, run: () => void, background = false): () => void {
    const timer: Timer = { at: this.now() + ms, run, background, handle: undefined, place: NOWHERE };
    this.#timers.add(timer);
    this.#set(timer, ms);
    this.#lookOut();
    return () => {
      this.#timers.remove(timer);
      clearTimeout(timer.handle);
    };
  }

  #set(timer: Timer, ms: number): void {
    timer.handle = setTimeout(() => this.#come(timer), Math.min(Math.max(0, Math.ceil(ms)), LONGEST_TIMER));
    if (timer.background) timer.handle.unref();
  }

  #come(timer: Timer): void {
    const left = timer.at - this.now();
    // Longer than a timer of Node can be, or set before a test put timers of its own in their place.
    if (left > LOOKOUT_MS) return this.#set(timer, left);
    if (left < -STALL_MS) afterWhatArrived(() => this.#run(timer));
    else this.#run(timer);
  }

  /** Unless it was cancelled meanwhile. */
  #run(timer: Timer): void {
    if (this.#timers.remove(timer)) timer.run();
  }

  /** The timers of Node stand still while the machine sleeps. */
  #setAnew(): void {
    const now = this.now();
    for (const timer of this.#timers) {
      clearTimeout(timer.handle);
      this.#set(timer, timer.at - now);
    }
  }

  /** Somebody has to look, or a long timer would come late by as long as the machine slept. */
  #lookOut(): void {
    if (this.#lookout || this.#time.isFaked) return;
    this.#lookout = setInterval(() => {
      this.now();
      if (this.#timers.size > 0) return;
      clearInterval(this.#lookout);
      this.#lookout = undefined;
    }, LOOKOUT_MS).unref();
  }

  limit(ms: number, run: () => void): () => void {
    const now = this.now();
    const limit = { at: now + ms, run, place: NOWHERE };
    this.#limits.add(limit);
    // One that should have fired before may never do: a test may have put timers of its own in the place of Node's, and back.
    const overdue = this.#firesAt < now;
    if (overdue || limit.at < this.#firesAt) this.#arm(overdue ? now : limit.at, now);
    else if (this.#limits.size === 1) this.#timer?.ref();
    return () => this.#end(limit);
  }

  /** With nothing left to limit the timer must not keep the process alive. */
  #end(limit: Limit): void {
    if (this.#limits.remove(limit) && this.#limits.size === 0) this.#timer?.unref();
  }

  #arm(at: number, now: number): void {
    clearTimeout(this.#timer);
    this.#firesAt = at;
    this.#timer = setTimeout(() => this.#limitsCome(), Math.min(Math.ceil(at - now), LONGEST_TIMER));
  }

  #limitsCome(): void {
    this.#timer = undefined;
    if (this.#firesAt < this.now() - STALL_MS) afterWhatArrived(() => this.#fire());
    else this.#fire();
  }

  #fire(): void {
    this.#firesAt = Infinity;
    const now = this.now();
    let next = Infinity;
    let count = 0;
    // In the order of their times, as timers of their own would have come.
    for (const limit of [...this.#limits].sort((a, b) => a.at - b.at)) {
      // One that is over may have ended another.
      if (limit.place === NOWHERE) continue;
      if (limit.at > now || ++count > PACE) {
        next = limit.at;
        break;
      } else {
        this.#end(limit);
        limit.run();
      }
    }
    if (next < this.#firesAt) this.#arm(next, now);
  }
}

/** Runs it when the answers have been read that came while this process stood still. */
function afterWhatArrived(run: () => void): void {
  setImmediate(run);
}
