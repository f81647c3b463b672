import type { Case, Scenario } from '../scenarios/scenario.js';
import type { Trial } from '../trial/trial.js';
import { median } from './statistics.js';

interface Entry {
  readonly scenario: string;
  readonly title: string;
  readonly trial: Trial;
  /** The trial of the floor before, which others may share. */
  readonly floor: Trial | undefined;
}

/** Everything that was measured in a run, and the figures that come of it. */
export class Results {
  readonly #entries: Entry[] = [];
  readonly #cases = new Map<string, Case>();

  add(scenario: Scenario, each: Case, trial: Trial, floor: Trial | undefined): void {
    this.#entries.push({ scenario: scenario.name, title: each.title, trial, floor });
    this.#cases.set(`${scenario.name}: ${each.title}`, each);
  }

  get size(): number {
    return trialsOf(this.#entries).length;
  }

  /** The titles of the cases that were run. */
  cases({ name }: { readonly name: string }): readonly string[] {
    return [...new Set(this.#entries.filter(({ scenario }) => scenario === name).map(({ title }) => title))];
  }

  case(scenario: string, title: string): Case | undefined {
    return this.#cases.get(`${scenario}: ${title}`);
  }

  /** Who took part, the floor first. */
  names(scenario: string, title: string): readonly string[] {
    const entries = this.#of(scenario, title);
    return [
      ...new Set([
        ...entries.flatMap(({ floor }) => (floor ? [floor.contender] : [])),
        ...entries.map(({ trial }) => trial.contender),
      ]),
    ];
  }

  trials(scenario: string, title: string, contender: string): readonly Trial[] {
    return trialsOf(this.#of(scenario, title)).filter(
      (trial) => trial.contender === contender && trial.failure === undefined,
    );
  }

  /** The median over the rounds; NaN where nothing was measured. */
  figure(scenario: string, title: string, contender: string, metric: string): number {
    return median(this.trials(scenario, title, contender).map(({ metrics }) => metrics[metric] ?? Number.NaN));
  }

  /** Multiples of the paired floor, one for each round, in order. */
  ratios(scenario: string, title: string, contender: string, metric: string): readonly number[] {
    return this.#of(scenario, title)
      .filter(({ trial }) => trial.contender === contender)
      .map(({ trial, floor }) => (trial.metrics[metric] ?? Number.NaN) / (floor?.metrics[metric] ?? Number.NaN))
      .filter((ratio) => !Number.isNaN(ratio));
  }

  /** All samples of all rounds. */
  samples(scenario: string, title: string, contender: string): readonly number[] {
    return this.trials(scenario, title, contender).flatMap(({ samples = [] }) => samples);
  }

  hasFailed({ name }: Scenario, { title }: Case, contender: string): boolean {
    return this.#of(name, title).some(({ trial }) => trial.contender === contender && trial.failure !== undefined);
  }

  failures(): readonly string[] {
    const told = this.#entries.flatMap(({ scenario, title, trial, floor }) =>
      [trial, floor].flatMap((each) =>
        each?.failure === undefined ? [] : [`${each.contender} in ${scenario}, ${title}: ${each.failure}`],
      ),
    );
    return [...new Set(told)];
  }

  toJSON(): object {
    const figures = [...this.#cases.keys()].flatMap((id) => {
      const [scenario = '', title = ''] = id.split(/: (.*)/s);
      return this.names(scenario, title).map((contender) => {
        const trials = this.trials(scenario, title, contender);
        const metrics = [...new Set(trials.flatMap((trial) => Object.keys(trial.metrics)))];
        return {
          scenario,
          case: title,
          contender,
          trials: trials.length,
          median: Object.fromEntries(
            metrics.map((metric) => [metric, this.figure(scenario, title, contender, metric)]),
          ),
          ratioToFloor: Object.fromEntries(
            metrics
              .map((metric) => [metric, median(this.ratios(scenario, title, contender, metric))])
              .filter(([, ratio]) => !Number.isNaN(ratio)),
          ),
        };
      });
    });
    return { figures, trials: this.#entries };
  }

  #of(scenario: string, title: string): readonly Entry[] {
    return this.#entries.filter((entry) => entry.scenario === scenario && entry.title === title);
  }
}

/** Each once. */
function trialsOf(entries: readonly Entry[]): readonly Trial[] {
  return [...new Set(entries.flatMap(({ trial, floor }) => (floor ? [floor, trial] : [trial])))];
}
