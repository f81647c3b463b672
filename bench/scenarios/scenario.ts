import type { Contender, Locker } from '../contenders/contender.js';
import type { ServerUse } from '../trial/server-meter.js';
import type { Worker } from '../trial/worker-process.js';

/** What a trial came to, by name of metric. Numbers only, so that all can be paired, written and plotted alike. */
export type Metrics = Readonly<Record<string, number>>;

/** `quick`: a look, in three minutes. `full`: figures to publish. `long`: also what takes long. */
export type Effort = 'quick' | 'full' | 'long';

export interface Outcome {
  readonly metrics: Metrics;
  /** Single values, where their distribution matters. */
  readonly samples?: readonly number[];
}

/** One set of parameters of a scenario. */
export interface Case {
  /** For the table. */
  readonly title: string;
  readonly processes: number;
  /** How many acquire at the same time in each process, so that connections can be opened before. */
  readonly waiters: number;
  readonly keys: number;
  readonly milliseconds: number;
  /** What only the scenario understands. */
  readonly more?: Readonly<Record<string, number>>;
}

/** What a worker process gets to know. */
export interface Task {
  readonly contender: string;
  readonly scenario: string;
  readonly port: number;
  readonly index: number;
  readonly keys: readonly string[];
  readonly case: Case;
}

/** The parent's side of a trial. */
export interface Conductor {
  readonly workers: readonly Worker[];
  readonly case: Case;
  readonly contender: string;
  /** Lets the other one of the pair go on, until it does the same. */
  ourTurn(): Promise<void>;
  /** Measures the server from now on; resolves to how to end that. */
  measure(): Promise<() => Promise<ServerUse>>;
}

/** The worker's side of a trial. */
export interface Stage {
  readonly task: Task;
  readonly locker: Locker;
  send(type: string, value?: unknown): void;
  /** The next message of that type from the parent. */
  receive(type: string): Promise<unknown>;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** What every trial is paired with: the same trial of this contender, right before. */
  readonly floor?: 'raw' | 'BLPOP';
  /** Rounds in a full run, for us and for the others: a ratio of ours is to stand on more than one pair. */
  readonly rounds: { readonly ours: number; readonly others: number };
  cases(effort: Effort): readonly Case[];
  /** Who takes part, of those that the run has; all if left out. */
  admits?(contender: Contender, each: Case): boolean;
  /** One core for the server and the others for the workers. Not where processes compete for cores anyway. */
  readonly pinned: boolean;
  /** Runs in each worker process. What it returns goes to `conduct`. */
  work(stage: Stage): Promise<unknown>;
  /** Runs in the parent, once all workers are connected and warm. */
  conduct(conductor: Conductor): Promise<Outcome>;
  /**
   * Whether a trial and that of its floor take turns, wherever `conduct` awaits its own; otherwise one runs after the other. In
   * bursts this short a noisy neighbour falls on both.
   */
  readonly inTurns: boolean;
  /** The metrics that the table shows, in order. */
  readonly columns: readonly Column[];
}

export interface Column {
  readonly metric: string;
  readonly title: string;
  /** Also show it as a multiple of the paired floor. */
  readonly ratio?: boolean;
  readonly digits?: number;
}
