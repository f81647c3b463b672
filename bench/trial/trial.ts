import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Case, Metrics, Scenario } from '../scenarios/scenario.js';
import { measureServer } from './server-meter.js';
import { Worker } from './worker-process.js';

/** Where trials run: one server for the whole run. */
export interface Bench {
  readonly port: number;
  /** For what the bench itself asks the server. */
  readonly admin: Redis;
  /** Whether the server's data may be wiped. */
  readonly own: boolean;
  /** The cores of the workers of a pinned scenario. */
  readonly workerCores: string | undefined;
}

export interface Trial {
  readonly contender: string;
  readonly round: number;
  readonly metrics: Metrics;
  readonly samples?: readonly number[];
  /** Why there are no metrics. */
  readonly failure?: string;
}

/** Beside what the trial itself takes: starting, connecting, warming up. */
const GIVE_UP_MS = 60_000;

/**
 * One trial of a contender, and before it, or in turns with it, one of the floor that it is compared with.
 * @param before a trial of the floor, not long ago, that will do where they do not take turns
 */
export async function runPair(
  bench: Bench,
  scenario: Scenario,
  each: Case,
  contender: string,
  round: number,
  before?: Trial,
): Promise<{ readonly trial: Trial; readonly floor: Trial | undefined }> {
  if (bench.own) await bench.admin.flushall();
  const side = (name: string): Side => new Side(bench, scenario, each, name, round);
  if (scenario.floor === undefined) return { trial: await side(contender).run(), floor: undefined };
  if (!scenario.inTurns) {
    const floor = before ?? (await side(scenario.floor).run());
    return { floor, trial: await side(contender).run() };
  }
  const sides = [side(scenario.floor), side(contender)];
  await Promise.all(sides.map((one) => one.begin()));
  for (let turn = 0; sides.some((one) => one.goesOn); turn++) {
    for (const one of turn % 2 ? sides : [...sides].reverse()) await one.go();
  }
  const [floor, trial] = await Promise.all(sides.map((one) => one.end()));
  return { floor, trial: trial! };
}

/** One contender's processes, from start to end. What goes wrong with them becomes the trial's failure. */
class Side {
  readonly #workers: Worker[] = [];
  #start: () => Promise<void> = async () => undefined;
  #course: Promise<void> | undefined;
  #goOn: (() => void) | undefined;
  #pause: (() => void) | undefined;
  #outcome: Pick<Trial, 'metrics' | 'samples' | 'failure'> | undefined;
  #deadline = 0;

  constructor(
    private readonly bench: Bench,
    private readonly scenario: Scenario,
    private readonly each: Case,
    private readonly contender: string,
    private readonly round: number,
  ) {}

  /** Whether there is more to measure. */
  get goesOn(): boolean {
    return this.#outcome === undefined;
  }

  async begin(): Promise<void> {
    const { bench, scenario, each, contender } = this;
    const name = randomBytes(6).toString('hex');
    const keys = Array.from({ length: each.keys }, (_, index) => `bench-${name}-${index}`);
    this.#deadline = Date.now() + GIVE_UP_MS + each.milliseconds * 4;
    await this.#guard(async () => {
      for (let index = 0; index < each.processes; index++) {
        const task = { contender, scenario: scenario.name, port: bench.port, index, keys, case: each };
        this.#workers.push(new Worker(task, scenario.pinned ? bench.workerCores : undefined));
      }
      await Promise.all(this.#workers.map((worker) => worker.receive('ready')));
      const measure = () => measureServer(bench.admin);
      const ourTurn = () =>
        new Promise<void>((goOn) => {
          this.#goOn = goOn;
          this.#pause?.();
        });
      this.#start = async () => {
        this.#outcome = await scenario.conduct({ workers: this.#workers, case: each, contender, measure, ourTurn });
      };
    });
  }

  /** Until it is the other one's turn. */
  async go(): Promise<void> {
    await this.#guard(() => {
      const paused = new Promise<void>((pause) => (this.#pause = pause));
      this.#goOn?.();
      this.#course ??= this.#start();
      return Promise.race([this.#course, paused]);
    });
  }

  async end(): Promise<Trial> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    return {
      contender: this.contender,
      round: this.round,
      ...(this.#outcome ?? { metrics: {}, failure: 'it was cut short' }),
    };
  }

  async run(): Promise<Trial> {
    await this.begin();
    while (this.goesOn) await this.go();
    return this.end();
  }

  async #guard(step: () => Promise<void>): Promise<void> {
    if (!this.goesOn) return;
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error('it did not end in time')), this.#deadline - Date.now());
      });
      await Promise.race([step(), late]);
    } catch (error) {
      this.#outcome = { metrics: {}, failure: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
    }
  }
}
