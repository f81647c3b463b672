import { contender } from '../contenders/index.js';
import type { Column, Scenario } from '../scenarios/scenario.js';
import type { Results } from './results.js';
import { median } from './statistics.js';

/** One case as a table in Markdown, which is also for reading as it is: ours first, floors last. */
export function caseTable(results: Results, scenario: Scenario, title: string): string {
  const order = ['ours', 'peer', 'floor'];
  const names = [...results.names(scenario.name, title)].sort(
    (a, b) => order.indexOf(contender(a).kind) - order.indexOf(contender(b).kind),
  );
  const rows = names.map((name) => [
    name,
    `${results.trials(scenario.name, title, name).length}`,
    ...scenario.columns.map((column) => cell(results, scenario, title, name, column)),
  ]);
  return `### ${title}\n\n${markdown(['', 'n', ...scenario.columns.map((column) => column.title)], rows)}\n`;
}

export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0), 3));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, column) => (column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

export function round(value: number, digits = 0): string {
  if (Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return '∞';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function cell(
  results: Results,
  { name: scenario, floor }: Scenario,
  title: string,
  name: string,
  column: Column,
): string {
  const { metric, digits = 0, ratio } = column;
  const value = round(results.figure(scenario, title, name, metric), digits);
  if (!ratio || name === floor) return value;
  const multiple = median(results.ratios(scenario, title, name, metric));
  return Number.isNaN(multiple) ? value : `${value} (×${round(multiple, 2)})`;
}
