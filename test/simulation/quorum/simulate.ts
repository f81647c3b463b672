import { networkQualities } from '../../../lib/testing/faulty-network.js';
import { type Belief, Beliefs } from '../beliefs.js';
import { Dice } from '../dice.js';
import type { Quality } from '../scenario.js';
import { VirtualClock } from '../virtual-clock.js';
import { type Call, type Stage, work } from '../worker.js';
import { QuorumProcess } from './process.js';
import { drawQuorumScenario, type QuorumScenario } from './scenario.js';
import { QuorumServer } from './server.js';

/** How long a server keeps the place of a waiter that fell silent. */
const PLACE_MS = 15_000;
/** Once all is well, all work that was begun has ended after this. */
const END_MS = 120_000;

export interface QuorumOutcome {
  /** What happened that must never happen. */
  readonly violations: readonly string[];
  readonly scenario: QuorumScenario;
  readonly acquired: number;
  readonly emptied: number;
  readonly trace: readonly string[];
}

/** One run: several processes over a quorum of servers, and whatever can go wrong between them; all of it by the seed. */
export async function simulateQuorum(seed: number, quality: Quality, tracing = false): Promise<QuorumOutcome> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const outcome = await new QuorumRun(seed, quality, tracing).play();
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

class QuorumRun implements Stage {
  readonly scenario: QuorumScenario;
  readonly dice: Dice;
  readonly beliefs: Beliefs;
  over = false;
  readonly #world = new VirtualClock();
  readonly #servers: readonly QuorumServer[];
  readonly #processes: readonly QuorumProcess[];
  readonly #calls = new Set<Pending>();
  readonly #violations: string[] = [];
  readonly #trace: string[] = [];
  /** The highest token of each key that somebody got. */
  readonly #tokens = new Map<string, bigint>();
  #working = 0;
  #emptied = 0;

  constructor(
    seed: number,
    private readonly quality: Quality,
    private readonly tracing: boolean,
  ) {
    const dice = (this.dice = new Dice(seed));
    const scenario = (this.scenario = drawQuorumScenario(dice, quality));
    const clock = (): VirtualClock =>
      this.#world.process({ rate: dice.between(0.996, 1.004), offset: dice.between(0, 1e6) });
    this.#servers = Array.from(
      { length: scenario.servers },
      (_, index) =>
        new QuorumServer(`S${index + 1}`, clock(), scenario.guardMs, this.trace, BigInt(dice.whole(0, 100_000))),
    );
    // Who holds what is not for one server to say; nothing is taken by force here.
    this.beliefs = new Beliefs({ wasForced: () => false, has: () => true, wipedAt: () => undefined }, this.report, () =>
      this.#world.now(),
    );
    const { enter } = this.beliefs;
    this.beliefs.enter = (process, lock, limit): Belief => {
      this.#noteTokens(lock.fencingTokens);
      return scenario.fencing ? enter.call(this.beliefs, process, lock, limit) : this.#believe(process, lock, limit);
    };
    this.#processes = Array.from(
      { length: scenario.processes },
      (_, index) =>
        new QuorumProcess(
          String.fromCodePoint(65 + index),
          this.#world,
          this.#servers,
          scenario,
          quality,
          dice,
          this.trace,
        ),
    );
  }

  readonly report = (violation: string): void => {
    // Without fencing there are no tokens.
    if (!this.scenario.fencing && / has no token for /.test(violation)) return;
    // And with it there are no shared locks.
    if (this.scenario.fencing && / cannot downgrade a lock/.test(violation)) return;
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

  async play(): Promise<QuorumOutcome> {
    const { workers, horizon } = this.scenario;
    for (const process of this.#processes) for (let i = 0; i < workers; i++) this.#start(process);
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
      emptied: this.#emptied,
      trace: this.#trace,
    };
  }

  #believe(...given: Parameters<Beliefs['enter']>): Belief {
    return Beliefs.prototype.enter.apply(this.beliefs, given);
  }

  /** Servers that lost their data count from their clocks, which may be behind those of others. */
  #noteTokens(tokens: ReadonlyMap<string, bigint>): void {
    if (this.#emptied > 0) return;
    for (const [key, token] of tokens) {
      const last = this.#tokens.get(key) ?? -1n;
      if (token <= last) this.report(`${key}: token ${token} after ${last}`);
      else this.#tokens.set(key, token);
    }
  }

  #start(process: QuorumProcess): void {
    this.#working++;
    void work(this, process)
      .catch((error: unknown) => this.report(`${process.name}: a worker failed with ${String(error)}`))
      .finally(() => {
        if (process.clock.alive) this.#working--;
      });
  }

  async #until(done: () => boolean, atMost: number): Promise<boolean> {
    const end = this.#world.now() + atMost;
    while (!done()) {
      if (this.#violations.length > 0) return true;
      if (!(await this.#world.step(end))) return false;
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
    for (const { process, name, since, stoodStillBefore, within } of this.#calls) {
      if (!process.clock.alive) continue;
      const waited = this.#world.now() - since - (process.stoodStill - stoodStillBefore);
      if (waited > within * 1.005 + 10)
        this.report(`${process.name}: ${name} has not ended after ${waited.toFixed(0)} ms`);
    }
  }

  // --- What goes wrong ---

  #misfortune(): void {
    const { calm, deaths, closings, horizon } = this.scenario;
    const { dice } = this;
    const strike = (): void => {
      if (this.over) return;
      const process = dice.pick(this.#processes);
      const kind = dice.weighted({ stall: 3, partition: 4, freeze: 3, restart: 2 });
      if (kind === 'stall') this.#stall(process);
      else if (kind === 'partition') this.#cut([process], this.#some(), 'are cut off from');
      else if (kind === 'freeze') this.#cut(this.#processes, this.#some(), 'stand still for');
      else this.#restart();
      this.#world.after(dice.between(0, 2 * calm), strike);
    };
    this.#world.after(dice.between(0, 2 * calm), strike);
    if (dice.chance(deaths)) {
      const process = dice.pick(this.#processes);
      this.#world.after(dice.between(0, horizon), () => this.#kill(process));
    }
    if (dice.chance(closings)) {
      const process = dice.pick(this.#processes);
      this.#world.after(dice.between(0, horizon), () => void process.sleep(0).then(() => this.#close(process)));
    }
  }

  /** One server or several. */
  #some(): readonly number[] {
    const share = this.dice.pick([0.2, 0.5, 0.8]);
    const some = [...this.#servers.keys()].filter(() => this.dice.chance(share));
    return some.length > 0 ? some : [this.dice.whole(0, this.#servers.length - 1)];
  }

  #stall(process: QuorumProcess): void {
    this.trace(`${process.name} stands still`);
    process.freeze();
    this.#world.after(this.dice.between(5, this.scenario.trouble), () => {
      this.trace(`${process.name} goes on`);
      process.thaw();
    });
  }

  #cut(processes: readonly QuorumProcess[], servers: readonly number[], how: string): void {
    const names = `${servers.map((index) => this.#servers[index]!.name).join(', ')} ${how} ${processes.map(({ name }) => name).join(', ')}`;
    this.trace(names);
    const each = (run: (network: QuorumProcess['networks'][number]) => void): void => {
      for (const { networks } of processes) for (const index of servers) run(networks[index]!);
    };
    each((network) => network.cut());
    this.#world.after(this.dice.between(5, this.scenario.trouble), () => {
      this.trace(`no more: ${names}`);
      each((network) => network.mend());
    });
  }

  #restart(): void {
    const { dice, scenario } = this;
    const index = dice.whole(0, this.#servers.length - 1);
    this.#cut(this.#processes, [index], 'is restarted for');
    if (!scenario.forgetful) return;
    this.trace(`${this.#servers[index]!.name} has lost its data`);
    this.#emptied++;
    this.#servers[index]!.restartEmpty();
  }

  #kill(process: QuorumProcess): void {
    if (!process.clock.alive || this.over) return;
    this.trace(`${process.name} dies`);
    process.clock.kill();
    this.#working -= this.scenario.workers;
  }

  async #close(process: QuorumProcess): Promise<void> {
    if (process.closing || !process.clock.alive) return;
    const grace = this.dice.pick([0, 50, 1_000]);
    this.trace(`${process.name} closes`);
    // Grace, the calls in flight, the releases of what is held, the last releases, those of the quorum.
    const within = grace + 2_500 + 7 * this.scenario.callTimeout + 250;
    await this.watch({ process, name: 'close', within, keys: [] }, process.close(grace));
    this.trace(`${process.name} is closed`);
  }

  // --- How it ends ---

  #heal(): void {
    this.trace('all is well from here on');
    this.over = true;
    for (const process of this.#processes) {
      for (const network of process.networks) {
        network.quality = networkQualities.perfect;
        network.mend();
      }
      process.thaw();
    }
  }

  async #leaveNothing(): Promise<void> {
    if (this.#violations.length > 0) return;
    await this.#until(() => false, PLACE_MS + 2 * this.scenario.guardMs + 6_000);
    for (const { name } of this.scenario.keys) {
      for (const server of this.#servers) if (server.left(name) > 0) this.report(`${name} is left at ${server.name}`);
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
      if (engineTimers > 0) this.report(`${name}: ${engineTimers} timers are left`);
    }
    for (const server of this.#servers)
      if (server.size > 0) this.report(`${server.size} keys are left at ${server.name}`);
  }

  #pendingNames(): string {
    return [...this.#calls].map(({ process, name }) => `${process.name}: ${name}`).join(', ');
  }
}
