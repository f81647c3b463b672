import type { LockInfo } from '../lock/lock.js';

/** A table with its columns below each other, and no blanks at the ends of lines. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    lines.reduce((most, line) => Math.max(most, (line[column] ?? '').length), 0),
  );
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** A key or an owner on one line of a terminal: what is not shown there, or steers it, is escaped. */
export function shown(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The time to the two largest units, such as `4m 10s`. */
export function duration(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '';
  const seconds = milliseconds / 1_000;
  if (seconds < 1) return `${Math.round(milliseconds)}ms`;
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.floor(minutes / 1_440)}d ${Math.floor((minutes % 1_440) / 60)}h`;
}

/** How a key is held, such as `shared` or `2 of 5`. */
export function modeOf({ mode, limit, holders }: LockInfo): string {
  return limit > 1 ? `${holders.length} of ${limit}` : mode;
}

/** As JSON, with fencing tokens as decimal texts: they are too large for a number. */
export function json(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? each.toString() : each), 2);
  return `${text}\n`;
}
