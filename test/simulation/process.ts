import type { LockBackend } from '../../lib/backends/backend.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { WakingTime } from '../../lib/engine/time/waking-time.js';
import type { LockEvent } from '../../lib/lock/events.js';
import { FaultyNetwork } from '../../lib/testing/faulty-network.js';
import type { VirtualClock } from './virtual-clock.js';
import type { Dice } from './dice.js';
import type { Quality, Scenario } from './scenario.js';

/** One process: an engine with a clock of its own, and a bad network between it and the server. */
export class SimulatedProcess implements Simulated {
  readonly clock: VirtualClock;
  readonly network: FaultyNetwork;
  readonly engine: LockEngine;
  /** How each call of this engine ended, by its events. */
  readonly ended: Record<string, number> = {};
  /** Calls that were made. */
  called = 0;
  closing: Promise<void> | undefined;
  #stoodStill = 0;
  #timers = 0;
  #frozenAt: number | undefined;
  /** What its machine slept through, which the monotonic clock does not show. */
  #slept = 0;
  #sleepsSince: number | undefined;
  /** How far its wall clock was set. */
  #ahead = 0;
  /** As the engine takes it from a machine. */
  readonly #time: WakingTime;

  constructor(
    readonly name: string,
    private readonly world: VirtualClock,
    server: LockBackend,
    { ordered, callTimeout }: Scenario,
    quality: Quality,
    dice: Dice,
    trace: (line: string) => void,
  ) {
    // Two clocks differ by less than the 1 % that the engine allows for.
    this.clock = world.process({ rate: dice.between(0.996, 1.004), offset: dice.between(0, 1e6) });
    const { random } = dice;
    this.network = new FaultyNetwork({
      quality,
      clock: world,
      random,
      ordered,
      receive: (run) => this.clock.receive(run),
    });
    this.#time = new WakingTime(
      { monotonic: () => this.clock.now() - this.#slept, wall: () => this.clock.now() + this.#ahead },
      () => undefined,
    );
    const clock = {
      now: () => this.#time.now(),
      after: (ms: number, run: () => void) => this.clock.after(ms, run),
      limit: (ms: number, run: () => void) => this.clock.limit(ms, run),
    };
    this.engine = new LockEngine(this.network.to(server), { clock, random, callTimeout, prefix: '', name });
    this.engine.listen((event) => this.#note(event, trace));
  }

  /** For so long, in all, this process has stood still. */
  get stoodStill(): number {
    return this.#stoodStill + (this.#frozenAt === undefined ? 0 : this.world.now() - this.#frozenAt);
  }

  freeze(): void {
    this.clock.freeze();
    this.#frozenAt ??= this.world.now();
  }

  thaw(): void {
    this.#stoodStill = this.stoodStill;
    this.#frozenAt = undefined;
    this.clock.thaw();
  }

  /** Its machine is suspended: nothing runs, and the monotonic clock stands still. */
  fallAsleep(): void {
    this.#sleepsSince ??= this.clock.now();
    this.freeze();
  }

  wakeUp(): void {
    if (this.#sleepsSince === undefined) return;
    this.#slept += this.clock.now() - this.#sleepsSince;
    this.#sleepsSince = undefined;
    this.thaw();
  }

  get isAsleep(): boolean {
    return this.#sleepsSince !== undefined;
  }

  /** Its wall clock is set, as time synchronisation or an operator does. Sleep comes neither just before nor just after that. */
  setWallClock(ms: number): void {
    this.#time.now();
    this.#ahead += ms;
    this.#time.now();
  }

  /** A timer of those who work here, not of the engine. */
  after(ms: number, run: () => void): () => void {
    this.#timers++;
    const cancel = this.clock.after(ms, () => {
      this.#timers--;
      run();
    });
    return () => {
      this.#timers--;
      cancel();
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Timers that the engine has set. */
  get engineTimers(): number {
    return this.clock.pending - this.#timers;
  }

  /** Closes the engine. Where it belongs, for a user would not do that in a process that stands still. */
  close(graceMs: number): Promise<void> {
    return (this.closing ??= this.engine.close(graceMs));
  }

  #note(event: LockEvent, trace: (line: string) => void): void {
    this.ended[event.type] = (this.ended[event.type] ?? 0) + 1;
    trace(
      `${this.name} ${event.type} ${event.key} ${shortOwner(event.owner)}${'error' in event ? ` (${String(event.error)})` : ''}`,
    );
  }
}

/** What the workers need of a process. */
export interface Simulated {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly engine: LockEngine;
  called: number;
  readonly closing: Promise<void> | undefined;
  readonly stoodStill: number;
  after(ms: number, run: () => void): () => void;
  sleep(ms: number): Promise<void>;
}

export const shortOwner = (owner: string): string => owner.slice(owner.lastIndexOf(':') + 1);
