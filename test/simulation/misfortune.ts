import type { NetworkQuality } from '../../lib/testing/faulty-network.js';
import type { SimulatedProcess } from './process.js';
import type { Scenario } from './scenario.js';
import type { VirtualClock } from './virtual-clock.js';
import type { WitnessedTable } from './witness.js';
import type { Stage } from './worker.js';

export interface MisfortuneOptions extends Pick<Stage, 'dice' | 'trace' | 'watch'> {
  readonly scenario: Scenario;
  readonly quality: NetworkQuality;
  readonly world: VirtualClock;
  readonly table: WitnessedTable;
  readonly processes: readonly SimulatedProcess[];
  readonly isOver: () => boolean;
  readonly onDeath: () => void;
  readonly close: (process: SimulatedProcess) => void;
}

/** Nothing arrives while a server is restarted, and whoever waits for an answer learns that. */
const DOWN: Partial<NetworkQuality> = { lostRequests: 1, lostReplies: 1, lostPushes: 1, failing: 1 };
/** In milliseconds. A shorter sleep of a machine goes unseen. */
const SHORTEST_SLEEP_MS = 1_100;
export const LONGEST_SLEEP_MS = 3_300;
/** The most that time synchronisation steps a clock forward by, in milliseconds; an operator may set it back by anything. */
const SMALL_STEP_MS = 900;
const BACK_BY_MS = 10_000;

/** Whatever goes wrong in a run. */
export class Misfortune {
  constructor(private readonly options: MisfortuneOptions) {}

  begin(): void {
    const { dice, processes, scenario, world, isOver, close } = this.options;
    const { calm, deaths, closings, forces, horizon } = scenario;
    const strike = (): void => {
      if (isOver()) return;
      this.#strike(dice.pick(processes));
      world.after(dice.between(0, 2 * calm), strike);
    };
    world.after(dice.between(0, 2 * calm), strike);
    const once = (share: number, run: (process: SimulatedProcess) => void): void => {
      if (!dice.chance(share)) return;
      const process = dice.pick(processes);
      world.after(dice.between(0, horizon), () => run(process));
    };
    once(deaths, (process) => this.#kill(process));
    once(closings, (process) => void process.sleep(0).then(() => close(process)));
    for (let i = 0; i < 3; i++) once(forces, (process) => this.#force(process));
  }

  #strike(process: SimulatedProcess): void {
    const { dice, processes, scenario } = this.options;
    const { naps, restarts } = scenario;
    const kind = dice.weighted({
      ...{ stall: 4, cut: 2, pause: 1 },
      ...{ nap: naps ? 2 : 0, clock: naps ? 2 : 0, restart: restarts ? 2 : 0 },
    });
    if (kind === 'stall') this.#stall(process);
    else if (kind === 'cut') this.#cut([process]);
    else if (kind === 'pause') this.#cut(processes);
    else if (kind === 'nap') this.#nap(process);
    else if (kind === 'clock') this.#setClock(process);
    else this.#restart();
  }

  #for(milliseconds: number, over: () => void): void {
    this.options.world.after(milliseconds, over);
  }

  /** How long it lasts. */
  get #trouble(): number {
    return this.options.dice.between(5, this.options.scenario.trouble);
  }

  #stall(process: SimulatedProcess): void {
    const { trace } = this.options;
    trace(`${process.name} stands still`);
    process.freeze();
    this.#for(this.#trouble, () => {
      if (process.isAsleep) return;
      trace(`${process.name} goes on`);
      process.thaw();
    });
  }

  #nap(process: SimulatedProcess): void {
    const { dice, trace } = this.options;
    if (process.isAsleep || !process.clock.upToDate) return;
    trace(`${process.name} sleeps`);
    process.fallAsleep();
    this.#for(dice.between(SHORTEST_SLEEP_MS, LONGEST_SLEEP_MS), () => {
      trace(`${process.name} wakes up`);
      process.wakeUp();
    });
  }

  #setClock(process: SimulatedProcess): void {
    const { dice, trace } = this.options;
    if (process.isAsleep) return;
    const by = dice.chance(0.5) ? dice.between(0, SMALL_STEP_MS) : -dice.between(0, BACK_BY_MS);
    trace(`${process.name} has its wall clock set by ${by.toFixed(0)} ms`);
    process.setWallClock(by);
  }

  #cut(processes: readonly SimulatedProcess[]): void {
    const { trace } = this.options;
    const names = processes.map(({ name }) => name).join(', ');
    trace(`the server does not answer to ${names}`);
    for (const { network } of processes) network.cut();
    this.#for(this.#trouble, () => {
      trace(`the server answers to ${names}`);
      for (const { network } of processes) network.mend();
    });
  }

  #restart(): void {
    const { dice, isOver, processes, quality, scenario, table, trace } = this.options;
    const forgets = scenario.forgetful && dice.chance(0.5);
    trace(forgets ? 'restart of the server, which loses its data' : 'restart of the server');
    for (const { network } of processes) network.quality = { ...quality, ...DOWN };
    if (forgets) for (const { name } of scenario.keys) table.wipe(name);
    this.#for(this.#trouble, () => {
      trace('the server is back');
      if (!isOver()) for (const { network } of processes) network.quality = quality;
    });
  }

  #kill(process: SimulatedProcess): void {
    const { isOver, onDeath, trace } = this.options;
    if (!process.clock.alive || isOver()) return;
    trace(`${process.name} dies`);
    process.clock.kill();
    onDeath();
  }

  #force(process: SimulatedProcess): void {
    const { dice, scenario, trace, watch } = this.options;
    const { name } = dice.pick(scenario.keys);
    void process.sleep(0).then(() => {
      if (process.closing) return;
      trace(`${process.name} forces ${name}`);
      const call = { process, name: `forceRelease ${name}`, within: scenario.callTimeout + 10, keys: [] };
      watch(call, process.engine.forceRelease(name)).catch(() => undefined);
    });
  }
}
