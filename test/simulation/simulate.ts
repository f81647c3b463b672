import type { LockBackend } from '../../lib/backends/backend.js';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { networkQualities } from '../../lib/testing/faulty-network.js';
import { VirtualClock } from './virtual-clock.js';
import { Beliefs } from './beliefs.js';
import { Dice } from './dice.js';
import { lineless } from './lineless.js';
import { SimulatedProcess } from './process.js';
import { LONGEST_SLEEP_MS, Misfortune } from './misfortune.js';
import { drawScenario, type Quality, type Scenario } from './scenario.js';
import { SessionServer } from './session-server.js';
import { type Call, type Stage, work } from './worker.js';
import { WitnessedTable } from './witness.js';

/** How long a server keeps the place of a waiter that fell silent. */
const PLACE_MS = 15_000;
/** Once all is well, a free key that somebody waits for is taken within the longest pause between two looks, and a little. */
const LOOK_MS = 1_000 + 500;
/** Once all is well, all work that was begun has ended after this. */
const END_MS = 90_000;

export interface Outcome {
  /** What happened that must never happen. */
  readonly violations: readonly string[];
  readonly scenario: Scenario;
  readonly acquired: number;
  readonly steps: number;
  /** Virtual milliseconds. */
  readonly time: number;
  readonly trace: readonly string[];
}

/** One run: several processes, their workers, a server, and whatever can go wrong; all of it by the seed. */
export async function simulate(seed: number, quality: Quality, tracing = false): Promise<Outcome> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const run = new Run(seed, quality, tracing);
    const outcome = await run.play();
    await new Promise((resolve) => void setImmediate(resolve));
    return unhandled.length === 0
      ? outcome
      : { ...outcome, violations: [...outcome.violations, `nobody handled ${String(unhandled[0])}`] };
  } finally {
    process.off('unhandledRejection', note);
  }
}

interface Pending extends Call {
  readonly since: number;
  readonly stoodStillBefore: number;
}

class Run implements Stage {
  readonly scenario: Scenario;
  readonly dice: Dice;
  readonly beliefs: Beliefs;
  over = false;
  readonly #world = new VirtualClock();
  readonly #table: WitnessedTable;
  readonly #sessions: SessionServer;
  readonly #processes: SimulatedProcess[] = [];
  readonly #calls = new Set<Pending>();
  readonly #violations: string[] = [];
  readonly #trace: string[] = [];
  /** The keys that nobody holds, and since when. */
  readonly #idle = new Map<string, { readonly since: number; readonly token: bigint | undefined }>();
  #working = 0;
  #steps = 0;
  #healedAt = Infinity;

  constructor(
    seed: number,
    private readonly quality: Quality,
    private readonly tracing: boolean,
  ) {
    this.dice = new Dice(seed);
    this.scenario = drawScenario(this.dice, quality);
    const clock = this.#world.process({ rate: this.dice.between(0.996, 1.004), offset: this.dice.between(0, 1e6) });
    const now = (): number => clock.now();
    this.#table = new WitnessedTable(now, this.report, this.trace, this.scenario.fair);
    this.#sessions = new SessionServer(this.#table, now);
    this.beliefs = new Beliefs(this.#table, this.report, now);
    for (let i = 0; i < this.scenario.processes; i++) {
      const name = String.fromCodePoint(65 + i);
      this.#processes.push(
        new SimulatedProcess(name, this.#world, this.#backend(), this.scenario, quality, this.dice, this.trace),
      );
    }
  }

  readonly report = (violation: string): void => {
    this.#violations.push(`at ${this.#world.now().toFixed(1)} ms: ${violation}`);
    this.trace(`VIOLATION ${violation}`);
  };

  readonly trace = (line: string): void => {
    if (this.tracing) this.#trace.push(`${this.#world.now().toFixed(1).padStart(8)}  ${line}`);
  };

  watch<T>(what: Call, call: Promise<T>): Promise<T> {
    const pending = { ...what, since: this.#world.now(), stoodStillBefore: what.process.stoodStill };
    this.#calls.add(pending);
    return call.finally(() => this.#calls.delete(pending));
  }

  async play(): Promise<Outcome> {
    const { workers, horizon } = this.scenario;
    for (const process of this.#processes) {
      for (let i = 0; i < workers; i++) this.#start(process);
    }
    this.#every(50, () => this.#lookAround());
    this.#misfortune();
    await this.#until(() => this.#world.now() >= horizon, horizon + 1);
    this.#heal();
    if (!(await this.#until(() => this.#working === 0, END_MS))) this.report(`${this.#pendingNames()} never ended`);
    await this.#leaveNothing();
    return {
      violations: this.#violations,
      scenario: this.scenario,
      acquired: this.#processes.reduce((sum, { ended }) => sum + (ended['acquired'] ?? 0), 0),
      steps: this.#steps,
      time: this.#world.now(),
      trace: this.#trace,
    };
  }

  #backend(): LockBackend {
    const { shape, attemptAll, attached } = this.scenario;
    if (shape === 'session') return this.#sessions.backend({ attemptAll, attached });
    const backend = shape === 'key' ? memoryOn(this.#table) : lineless(this.#table, { watch: shape === 'watched' });
    if (attemptAll) return backend;
    const { attemptAll: _, ...without } = backend;
    return without;
  }

  #start(process: SimulatedProcess): void {
    this.#working++;
    void work(this, process)
      .catch((error: unknown) => this.report(`${process.name}: a worker failed with ${String(error)}`))
      .finally(() => {
        if (process.clock.alive) this.#working--;
      });
  }

  /** Lets things happen until it is so; resolves to whether it came to that. */
  async #until(done: () => boolean, atMost: number): Promise<boolean> {
    const end = this.#world.now() + atMost;
    while (!done()) {
      if (this.#violations.length > 0) return true;
      if (!(await this.#world.step(end))) return false;
      this.#steps++;
      this.beliefs.check();
    }
    return true;
  }

  #every(ms: number, run: () => void): void {
    this.#world.after(ms, () => {
      run();
      this.#every(ms, run);
    });
  }

  #lookAround(): void {
    this.#sessions.sweep();
    this.beliefs.checkServer();
    for (const { process, name, since, stoodStillBefore, within } of this.#calls) {
      if (!process.clock.alive) continue;
      const waited = this.#world.now() - since - (process.stoodStill - stoodStillBefore);
      // Its clock may run a little slower than the world's.
      if (waited > within * 1.005 + 10)
        this.report(`${process.name}: ${name} has not ended after ${waited.toFixed(0)} ms`);
    }
    if (this.#world.now() > this.#healedAt) this.#lookForIdleKeys();
  }

  #lookForIdleKeys(): void {
    const now = this.#world.now();
    for (const { name } of this.scenario.keys) {
      const token = this.#table.lastToken(name);
      const before = this.#idle.get(name);
      const isFree = this.#table.inspect(name).holders.length === 0;
      if (!isFree) this.#idle.delete(name);
      // Between two looks somebody may have had it.
      else if (before?.token !== token || !before) this.#idle.set(name, { since: now, token });
    }
    for (const { keys, process, since: asked } of this.#calls) {
      if (keys.length === 0 || !process.clock.alive) continue;
      const since = Math.max(...keys.map((key) => this.#idle.get(key)?.since ?? now));
      const waiting = Math.max(since, asked, this.#healedAt);
      if (now - waiting > LOOK_MS) this.report(`${keys.join(' + ')} is free, and ${process.name} waits for it in vain`);
    }
  }

  #misfortune(): void {
    const { dice, scenario, trace } = this;
    const misfortune = new Misfortune({
      ...{ dice, scenario, trace, quality: networkQualities[this.quality] },
      ...{ world: this.#world, table: this.#table, processes: this.#processes },
      isOver: () => this.over,
      onDeath: () => (this.#working -= scenario.workers),
      close: (process) => void this.#close(process),
      watch: (call, promise) => this.watch(call, promise),
    });
    misfortune.begin();
  }

  async #close(process: SimulatedProcess): Promise<void> {
    if (process.closing || !process.clock.alive) return;
    const grace = this.dice.pick([0, 50, 1_000]);
    this.trace(`${process.name} closes`);
    // Grace, the calls in flight, the releases of what is held, the last releases, and the ends of sessions.
    const within = grace + 2_000 + 7 * this.scenario.callTimeout + 250;
    await this.watch({ process, name: 'close', within, keys: [] }, process.close(grace));
    this.trace(`${process.name} is closed`);
    for (const call of this.#calls) {
      // The others end by themselves within the time limit of a call, and leave nothing.
      if (call.process !== process || !/^(acquire|release)/.test(call.name)) continue;
      this.report(`${process.name} is closed, and ${call.name} has not ended`);
    }
  }

  // --- How it ends ---

  #heal(): void {
    this.trace('all is well from here on');
    this.over = true;
    for (const process of this.#processes) {
      process.network.quality = networkQualities.perfect;
      process.network.mend();
      // One that sleeps wakes up by itself.
      if (!process.isAsleep) process.thaw();
    }
    // What is on its way by then still arrives late.
    const sleep = this.scenario.naps ? LONGEST_SLEEP_MS : 0;
    this.#healedAt =
      this.#world.now() + networkQualities[this.quality].lag[1] + this.scenario.callTimeout + 1_100 + sleep;
  }

  /** Nobody works any more. What is on the server ends, also while the engines live; then they close, and nothing is left. */
  async #leaveNothing(): Promise<void> {
    if (this.#violations.length > 0) return;
    await this.#until(() => false, PLACE_MS + 2 * Math.max(...this.scenario.ttls) + 4_000);
    this.#sessions.sweep();
    for (const { name } of this.scenario.keys) {
      const { holders, waiting } = this.#table.inspect(name);
      if (holders.length > 0 || waiting > 0)
        this.report(`${name} is left with ${holders.length} holders and ${waiting} waiters`);
    }
    const alive = this.#processes.filter(({ clock }) => clock.alive);
    const closed = Promise.all(alive.filter(({ closing }) => !closing).map((process) => this.#close(process)));
    let done = false;
    void closed.then(() => (done = true));
    await this.#until(() => done, 10_000);
    for (const { name, called, ended, engineTimers } of alive) {
      const told =
        (ended['acquired'] ?? 0) + (ended['timeout'] ?? 0) + (ended['skipped'] ?? 0) + (ended['failed'] ?? 0);
      if (told !== called) this.report(`${name}: ${called} calls ended in ${told} events`);
      const over = (ended['released'] ?? 0) + (ended['lost'] ?? 0);
      if (over !== (ended['acquired'] ?? 0)) this.report(`${name}: ${ended['acquired']} locks ended in ${over} events`);
      if (engineTimers > 0) this.report(`${name}: ${engineTimers} timers are left`);
    }
    if (this.#sessions.size > 0) this.report(`${this.#sessions.size} sessions are left on the server`);
    if (this.#table.size > 0) this.report(`${this.#table.size} keys are left on the server`);
    if (alive.length === this.#processes.length && this.#table.victims.size + this.#table.freed.size > 0) {
      this.report('the server still has listeners');
    }
    if (this.beliefs.size > 0 && alive.length === this.#processes.length)
      this.report('somebody still believes to hold a lock');
  }

  #pendingNames(): string {
    return [...this.#calls].map(({ process, name }) => `${process.name}: ${name}`).join(', ');
  }
}
