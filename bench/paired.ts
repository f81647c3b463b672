import { median, percentile } from './report/statistics.js';
import { round } from './report/table.js';

/** How often one kind is measured before it is the turn of the other: short, so that a noisy second falls on both. */
const BURST = 20;
/** Bursts until everybody's code is compiled as well as it will be. */
const WARM_UP = 20;
/** The first ones of a burst find the processor's caches full of the other kind's code, and do not count. */
const COLD = 3;

/** How each of the two is measured once, in milliseconds. */
export interface Track {
  readonly floor: () => Promise<number>;
  readonly ours: () => Promise<number>;
}

/** Milliseconds of each, measured in turns after a warm-up. */
export async function compete({ floor, ours }: Track, bursts: number): Promise<{ floor: number[]; ours: number[] }> {
  const taken = { floor: [] as number[], ours: [] as number[] };
  for (let burst = -WARM_UP; burst < bursts; burst++) {
    for (const [name, measure] of burst % 2
      ? ([
          ['floor', floor],
          ['ours', ours],
        ] as const)
      : ([
          ['ours', ours],
          ['floor', floor],
        ] as const)) {
      for (let i = 0; i < BURST; i++) {
        const milliseconds = await measure();
        if (burst >= 0 && i >= COLD) taken[name].push(milliseconds);
      }
    }
  }
  return taken;
}

export async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The columns of `row`. */
export const HEAD = [
  'milliseconds',
  'n',
  'raw p50',
  'ours p50',
  'ratio',
  'at most',
  'raw p99',
  'ours p99',
  '',
] as const;

export function row(title: string, { floor, ours }: { floor: number[]; ours: number[] }, limit: number): string[] {
  const ratio = median(ours) / median(floor);
  return [
    title,
    `${ours.length}`,
    round(median(floor), 3),
    round(median(ours), 3),
    `×${round(ratio, 2)}`,
    `×${round(limit, 2)}`,
    round(percentile(floor, 0.99), 2),
    round(percentile(ours, 0.99), 2),
    ratio <= limit ? 'met' : 'missed',
  ];
}
