import type { Contender } from './contenders/contender.js';
import type { BenchOptions } from './options.js';
import type { Results } from './report/results.js';
import type { Case, Scenario } from './scenarios/scenario.js';
import { type Bench, runPair, type Trial } from './trial/trial.js';

/** How many contenders in a row are compared with one trial of the floor, where they do not take turns with it. */
const SHARE_A_FLOOR = 3;

/** Those that a quick run compares with: the tightest poll, and one that subscribes. */
const QUICK_PEERS = ['redis-semaphore', 'node-redisson'];

/** Who takes part in a run. */
export function entrants(
  all: readonly Contender[],
  { effort, contenders: named, peers }: BenchOptions,
): readonly Contender[] {
  const unknown = named?.find((name) => !all.some((contender) => contender.name === name));
  if (unknown !== undefined)
    throw new Error(`There is no contender "${unknown}". Known: ${all.map(({ name }) => name).join(', ')}.`);
  return all.filter(({ name, kind }) => {
    if (named) return kind === 'floor' || named.includes(name);
    if (kind !== 'peer') return true;
    return peers && (effort !== 'quick' || QUICK_PEERS.includes(name));
  });
}

/**
 * The trials of one scenario: in each round every case, in each case all contenders in a new order, each in turns with the floor it
 * is paired with, or a few of them right after it. So what the machine does besides falls on both.
 */
export async function runScenario(
  bench: Bench,
  scenario: Scenario,
  field: readonly Contender[],
  options: BenchOptions,
  results: Results,
): Promise<void> {
  const runners = field.filter((contender) => contender.name !== scenario.floor);
  const roundsOf = (contender: Contender): number =>
    options.rounds ??
    (options.effort === 'quick' ? 1 : contender.kind === 'ours' ? scenario.rounds.ours : scenario.rounds.others);
  const rounds = Math.max(...runners.map(roundsOf));
  for (let round = 0; round < rounds; round++) {
    for (const each of casesOf(scenario, options)) {
      let floors: readonly (Trial | undefined)[] = [];
      for (const contender of shuffled(
        runners.filter(
          (runner) =>
            roundsOf(runner) > round &&
            (runner.only ?? scenario.name) === scenario.name &&
            (scenario.admits?.(runner, each) ?? true),
        ),
      )) {
        // One that cannot do it will not learn to.
        if (results.hasFailed(scenario, each, contender.name)) continue;
        progress(`${scenario.name}, ${each.title}, round ${round + 1}: ${contender.name}`);
        const before = floors.length % SHARE_A_FLOOR === 0 ? undefined : floors.at(-1);
        const { trial, floor } = await runPair(bench, scenario, each, contender.name, round, before);
        floors = [...floors, floor];
        results.add(scenario, each, trial, floor);
      }
    }
  }
}

function casesOf(scenario: Scenario, { effort, cases }: BenchOptions): readonly Case[] {
  return scenario.cases(effort).filter(({ title }) => cases?.some((text) => title.includes(text)) ?? true);
}

function shuffled<T>(things: readonly T[]): readonly T[] {
  const left = [...things];
  return things.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0]!);
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}
