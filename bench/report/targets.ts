import { contender } from '../contenders/index.js';
import type { Results } from './results.js';
import { median } from './statistics.js';
import { markdown, round } from './table.js';

interface Target {
  readonly what: string;
  readonly atLeast: string;
  /** What was measured; `undefined` when it was not. */
  measure(results: Results): { readonly text: string; readonly reached: boolean } | undefined;
}

/** What we set out to reach, as ratios within one run. */
const targets: readonly Target[] = [
  {
    what: 'uncontended acquire + release, one at a time, p50',
    atLeast: '≤ 1.10 × raw',
    measure: (results) => ratio(results, 'uncontended', /^one key/, 'p50us', (value) => value <= 1.1),
  },
  {
    what: '64 keys at once, operations/s',
    atLeast: '≥ 0.85 × raw',
    measure: (results) => ratio(results, 'uncontended', /^64 keys/, 'perSecond', (value) => value >= 0.85),
  },
  {
    what: '64 keys at once, beside the best library on ioredis',
    atLeast: 'above it',
    measure: (results) =>
      against(
        results,
        'uncontended',
        /^64 keys/,
        'perSecond',
        1,
        ({ kind, name }) => kind === 'peer' && !name.startsWith('murlock'),
      ),
  },
  {
    what: 'hand-over between processes, p50',
    atLeast: '≤ 1.1 × BLPOP',
    measure: (results) => ratio(results, 'hand-over', /5 to 25/, 'p50us', (value) => value <= 1.1),
  },
  {
    what: 'hand-over between processes, p99',
    atLeast: '≤ 1.5 × BLPOP',
    measure: (results) => ratio(results, 'hand-over', /5 to 25/, 'p99us', (value) => value <= 1.5),
  },
  ...[8, 64, 512].map((waiters) => ({
    what: `scripts for each contended acquisition, ${waiters} waiters`,
    atLeast: '≤ 2.05',
    measure: (results: Results) =>
      figure(results, 'crowding', new RegExp(`4 processes × ${waiters / 4},`), 'scripts', (value) => value <= 2.05),
  })),
  {
    what: '1,000 waiters in one process, drain time',
    atLeast: '≤ 1.2 × BLPOP',
    measure: (results) => ratio(results, 'crowd', /^1,000/, 'drainMs', (value) => value <= 1.2),
  },
  {
    what: '1,000 waiters in one process, served in order',
    atLeast: 'all',
    measure(results) {
      const trials = results.trials('crowd', '1,000 waiters', 'ours').map(({ metrics }) => metrics);
      if (trials.length === 0) return undefined;
      const served = Math.min(...trials.map(({ served: count = 0 }) => count));
      const outOfOrder = Math.max(...trials.map(({ outOfOrder: count = 0 }) => count));
      return { text: `${served} of 999, ${outOfOrder} out of order`, reached: served === 999 && outOfOrder === 0 };
    },
  },
  ...[0, 5].flatMap((section) => [
    {
      what: `hand-overs/s, 4 processes × 16, section ${section} ms, beside the best that polls`,
      atLeast: '≥ 10 ×',
      measure: (results: Results) =>
        against(
          results,
          'contention',
          new RegExp(`4 processes × 16, section ${section}`),
          'handOversPerSecond',
          10,
          ({ kind, waits }) => kind === 'peer' && waits === 'polls',
        ),
    },
    {
      what: `hand-overs/s, 4 processes × 16, section ${section} ms, beside one that subscribes and asks again`,
      atLeast: '≥ 5 ×',
      measure: (results: Results) =>
        against(
          results,
          'contention',
          new RegExp(`4 processes × 16, section ${section}`),
          'handOversPerSecond',
          5,
          ({ waits }) => waits === 'woken',
        ),
    },
  ]),
  ...['10,000', '100,000'].flatMap((locks) => {
    const title = new RegExp(`^${locks} locks`);
    const count = Number(locks.replace(',', ''));
    // A period is a third of the lease of 10 s.
    const most = (100 + count / 100) / (10 / 3);
    return [
      {
        what: `${locks} held locks, commands/s`,
        atLeast: `≤ ${round(most)}`,
        measure: (results: Results) => figure(results, 'held', title, 'commandsPerSecond', (value) => value <= most),
      },
      {
        what: `${locks} held locks, client CPU`,
        atLeast: count === 10_000 ? '< 3 % of a core' : 'linear',
        measure: (results: Results) =>
          figure(results, 'held', title, 'clientCpuPercent', (value) => value < (3 * count) / 10_000, ' %'),
      },
    ];
  }),
];

export function targetTable(results: Results): string {
  const rows = targets.flatMap(({ what, atLeast, measure }) => {
    const outcome = measure(results);
    return outcome ? [[what, atLeast, outcome.text, outcome.reached ? 'reached' : 'not reached']] : [];
  });
  return rows.length === 0
    ? ''
    : `\n## What we set out to reach\n\n${markdown(['what', 'at least', 'measured', ''], rows)}\n`;
}

function titleOf(results: Results, scenario: string, pattern: RegExp): string | undefined {
  return results.cases({ name: scenario }).find((title) => pattern.test(title));
}

function ratio(
  results: Results,
  scenario: string,
  pattern: RegExp,
  metric: string,
  good: (value: number) => boolean,
): ReturnType<Target['measure']> {
  const title = titleOf(results, scenario, pattern);
  const ratios = title === undefined ? [] : results.ratios(scenario, title, 'ours', metric);
  if (ratios.length === 0) return undefined;
  const middle = median(ratios);
  const range =
    ratios.length > 1
      ? ` (${round(Math.min(...ratios), 2)} to ${round(Math.max(...ratios), 2)} in ${ratios.length} pairs)`
      : '';
  return { text: `${round(middle, 2)} ×${range}`, reached: good(middle) };
}

function figure(
  results: Results,
  scenario: string,
  pattern: RegExp,
  metric: string,
  good: (value: number) => boolean,
  unit = '',
): ReturnType<Target['measure']> {
  const title = titleOf(results, scenario, pattern);
  const value = title === undefined ? Number.NaN : results.figure(scenario, title, 'ours', metric);
  return Number.isNaN(value) ? undefined : { text: `${round(value, 2)}${unit}`, reached: good(value) };
}

function against(
  results: Results,
  scenario: string,
  pattern: RegExp,
  metric: string,
  times: number,
  isRival: (rival: ReturnType<typeof contender>) => boolean,
): ReturnType<Target['measure']> {
  const title = titleOf(results, scenario, pattern);
  if (title === undefined) return undefined;
  const ours = results.figure(scenario, title, 'ours', metric);
  const rivals = results
    .names(scenario, title)
    .filter((name) => isRival(contender(name)))
    .map((name) => ({ name, value: results.figure(scenario, title, name, metric) }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => b.value - a.value);
  const [best] = rivals;
  if (!best || Number.isNaN(ours)) return undefined;
  return { text: `${round(ours / best.value, 1)} × (${best.name})`, reached: ours >= times * best.value };
}
