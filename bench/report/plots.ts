import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contender } from '../contenders/index.js';
import type { Contender } from '../contenders/contender.js';
import type { Results } from './results.js';
import { percentile } from './statistics.js';
import { drawing, element, line, logarithmic, spread, text } from './svg.js';
import { round } from './table.js';

const GRID = { stroke: '#dee2e6', 'stroke-width': 1 };

/** Writes each plot that the run has data for. */
export function writePlots(results: Results, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const plots = { 'hand-over.svg': handOverPlot(results), 'waiters.svg': waitersPlot(results) };
  for (const [name, svg] of Object.entries(plots)) if (svg) writeFileSync(join(folder, name), svg);
}

/** A hill for each contender: how its hand-overs spread over the time they took. */
function handOverPlot(results: Results): string | undefined {
  const title = results.cases({ name: 'hand-over' }).at(-1);
  if (title === undefined) return undefined;
  const rows = results
    .names('hand-over', title)
    .map((name) => ({ name, samples: results.samples('hand-over', title, name).map((us) => us / 1000) }))
    .filter(({ samples }) => samples.length > 0)
    .map((row) => ({ ...row, middle: percentile(row.samples, 0.5), late: percentile(row.samples, 0.99) }))
    .sort((a, b) => a.middle - b.middle);

  const [left, right, top, rowHeight] = [190, 110, 56, 30];
  const width = 860;
  const bottom = top + rows.length * rowHeight + 12;
  const x = logarithmic(0.1, 2000, left, width - right);
  const bins = 90;
  const binOf = (value: number): number =>
    Math.min(bins - 1, Math.max(0, Math.floor(((x(value) - left) / (width - right - left)) * bins)));

  const grid = x.ticks.flatMap((tick) => [
    element('line', { x1: x(tick), x2: x(tick), y1: top - 8, y2: bottom, ...GRID }),
    text(x(tick), bottom + 16, `${tick} ms`, { 'text-anchor': 'middle' }),
  ]);
  const hills = rows.flatMap(({ name, samples, middle, late }, row) => {
    const base = top + (row + 1) * rowHeight;
    const counts = Array.from({ length: bins }, () => 0);
    for (const sample of samples) counts[binOf(sample)]!++;
    const highest = Math.max(...counts);
    const step = (width - right - left) / bins;
    const outline = counts.flatMap((count, bin): [number, number][] => {
      const y = base - (count / highest) * (rowHeight - 4);
      return [
        [left + bin * step, y],
        [left + (bin + 1) * step, y],
      ];
    });
    const color = colorOf(contender(name));
    return [
      line([[left, base], ...outline, [width - right, base]], { fill: color, 'fill-opacity': 0.35, stroke: color }),
      element('line', {
        x1: x(middle),
        x2: x(middle),
        y1: base - rowHeight + 4,
        y2: base,
        stroke: color,
        'stroke-width': 2,
      }),
      text(left - 10, base - 4, name, { 'text-anchor': 'end', 'font-weight': weightOf(contender(name)) }),
      text(width - right + 8, base - 4, `${milliseconds(middle)} / ${milliseconds(late)}`),
    ];
  });
  return drawing(
    width,
    bottom + 30,
    `Hand-over between two processes, ${title}: from release in one to the lock in the other`,
    text(width - right + 8, top - 2, 'p50 / p99 ms', { fill: '#868e96' }),
    ...grid,
    ...hills,
  );
}

/** A line for each contender: hand-overs in a second against how many wait. */
function waitersPlot(results: Results): string | undefined {
  const cases = results.cases({ name: 'crowding' }).map((title) => {
    const { processes = 1, waiters = 1 } = results.case('crowding', title) ?? {};
    return { title, waiters: processes * waiters };
  });
  const [first] = cases;
  const last = cases.at(-1);
  if (!first || !last || first === last) return undefined;
  const series = results
    .names('crowding', first.title)
    .map((name) => ({
      name,
      points: cases.map(({ title, waiters }) => ({
        waiters,
        value: results.figure('crowding', title, name, 'handOversPerSecond'),
      })),
    }))
    .filter(({ points }) => points.every(({ value }) => !Number.isNaN(value)));

  const [width, height, left, right, top, bottom] = [860, 520, 70, 220, 48, 470];
  const x = logarithmic(first.waiters, last.waiters, left, width - right);
  const y = logarithmic(10, 30_000, bottom, top);
  const grid = [
    ...y.ticks.flatMap((tick) => [
      element('line', { x1: left, x2: width - right, y1: y(tick), y2: y(tick), ...GRID }),
      text(left - 8, y(tick) + 4, round(tick), { 'text-anchor': 'end' }),
    ]),
    ...cases.map(({ waiters }) => text(x(waiters), bottom + 20, `${waiters}`, { 'text-anchor': 'middle' })),
    text((left + width - right) / 2, bottom + 38, 'waiters for one key, in 4 processes', { 'text-anchor': 'middle' }),
  ];
  const ends = spread(
    series.map(({ points }) => y(points.at(-1)!.value)),
    15,
  );
  const lines = series.flatMap(({ name, points }, index) => {
    const color = colorOf(contender(name));
    const weight = weightOf(contender(name));
    const path = points.map(({ waiters, value }): [number, number] => [x(waiters), y(value)]);
    return [
      line(path, { stroke: color, 'stroke-width': weight === 600 ? 3 : 1.5 }),
      ...path.map(([cx, cy]) => element('circle', { cx, cy, r: 3, fill: color })),
      line([path.at(-1)!, [width - right + 12, ends[index]!]], { stroke: color, 'stroke-width': 0.5 }),
      text(width - right + 16, ends[index]! + 4, `${name}: ${round(points.at(-1)!.value)}`, {
        fill: color,
        'font-weight': weight,
      }),
    ];
  });
  return drawing(
    width,
    height,
    'Hand-overs in a second against waiters, nothing done under the lock',
    ...grid,
    ...lines,
  );
}

function colorOf({ kind, waits }: Contender): string {
  if (kind === 'ours') return '#c2255c';
  if (kind === 'floor') return '#868e96';
  return waits === 'woken' ? '#e8590c' : '#3b5bdb';
}

const weightOf = ({ kind }: Contender): number => (kind === 'ours' ? 600 : 400);
const milliseconds = (value: number): string => round(value, value < 10 ? 2 : 0);
