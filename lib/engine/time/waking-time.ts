import { performance } from 'node:perf_hooks';

/** What a machine says of the time, in milliseconds. */
export interface TimeSource {
  /** From an arbitrary start, never back. It may stand still while the machine is suspended. */
  monotonic(): number;
  /** The wall clock: it may be set, forward and back. */
  wall(): number;
  /** A time that a test runner has put in the place of the machine's, if it has. */
  faked?(): FakedTime | undefined;
}

/** The clock of a test runner's fake timers: Vitest and Jest build on the same library, which leaves it at each timer function. */
export interface FakedTime {
  readonly now: number;
  /** Seconds and nanoseconds; unlike `now` it is not moved when a test sets the date. */
  hrtime?(): readonly [number, number];
}

/**
 * The least jump of the wall clock, in milliseconds, that counts as a suspended machine. Time synchronisation slews a difference below
 * half a second or a second, and steps only above, which no machine needs twice a day. A suspension that is shorter than this goes
 * unseen; it is the most that a holder can believe too long.
 */
const LEAST_JUMP_MS = 1_000;

/** The time of this machine. */
export const machineTime: TimeSource = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  faked: () => (globalThis.setTimeout as { clock?: FakedTime }).clock,
};

/**
 * Monotonic time that also counts what the machine slept through.
 *
 * The monotonic clock stands still while a virtual machine is paused or a laptop sleeps, and the leases on the server go on. The wall
 * clock is set right on waking, so a jump of it that the monotonic clock does not share is taken for time that has passed. Slewing,
 * small steps and steps back change nothing.
 */
export class WakingTime {
  #asleep = 0;
  /** The wall clock's lead over the monotonic one at the last look. */
  #lead: number;
  #faked: FakedTime | undefined;
  #shift = 0;
  #last = 0;

  /** @param onJump called when a jump was seen, after it counts */
  constructor(
    private readonly source: TimeSource,
    private readonly onJump: () => void,
  ) {
    this.#lead = source.wall() - source.monotonic();
  }

  now(): number {
    const faked = this.source.faked?.();
    if (faked !== this.#faked) this.#changeTo(faked);
    const time = faked ? millisecondsOf(faked) : this.#awakeAndAsleep();
    return (this.#last = time + this.#shift);
  }

  /** Whether a test runner has put its own time in the place of the machine's. */
  get isFaked(): boolean {
    return this.source.faked?.() !== undefined;
  }

  #awakeAndAsleep(): number {
    let monotonic = this.source.monotonic();
    let lead = this.source.wall() - monotonic;
    if (lead - this.#lead >= LEAST_JUMP_MS) {
      // A process that was stopped between the two readings has not slept. Read the other way round, they never show more than there was.
      const wall = this.source.wall();
      monotonic = this.source.monotonic();
      lead = Math.min(lead, wall - monotonic);
    }
    const jump = lead - this.#lead;
    this.#lead = lead;
    if (jump >= LEAST_JUMP_MS) {
      this.#asleep += jump;
      this.onJump();
    }
    return monotonic + this.#asleep;
  }

  /** Time goes on from where it stood; back with the machine's own, what has passed there meanwhile counts. */
  #changeTo(faked: FakedTime | undefined): void {
    this.#faked = faked;
    if (faked) {
      this.#shift = this.#last - millisecondsOf(faked);
      return;
    }
    const { monotonic, wall } = this.source;
    const time = monotonic();
    this.#lead = wall() - time;
    this.#shift = Math.max(0, this.#last - time - this.#asleep);
  }
}

function millisecondsOf(faked: FakedTime): number {
  const precise = faked.hrtime?.();
  return precise ? precise[0] * 1_000 + precise[1] / 1_000_000 : faked.now;
}
