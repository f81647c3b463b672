import type { Effort } from './scenarios/scenario.js';

/** What the command line says. */
export interface BenchOptions {
  readonly effort: Effort;
  readonly only: readonly string[] | undefined;
  /** Parts of the titles of cases. */
  readonly cases: readonly string[] | undefined;
  readonly contenders: readonly string[] | undefined;
  readonly rounds: number | undefined;
  readonly json: string | undefined;
  readonly plots: string | undefined;
  readonly pin: boolean;
  readonly peers: boolean;
}
