/** A time to the two largest units, such as `4m 10s`. */
export function duration(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '–';
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** A time that may be short, such as `340ms` or `1.2s`. */
export function exactly(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)}ms`;
  return milliseconds < 10_000 ? `${(milliseconds / 1_000).toFixed(1)}s` : duration(milliseconds);
}

export const number = (value: number): string => value.toLocaleString('en');

/** Nothing that is not shown, or that turns the direction of the text, stays unseen in a key. */
export const shown = (text: string): string =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);

/** Host and process of an owner `<host>-<pid>-<random>:<number>`; another one as it is. */
export function placeOf(owner: string): { readonly host: string; readonly pid: string | undefined } {
  const [, host = owner, pid] = /^(.*)-(\d+)-[\w-]{8}:\d+$/.exec(owner) ?? [];
  return { host: shown(host), pid };
}
