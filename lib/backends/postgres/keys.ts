import { createHash } from 'node:crypto';

/** A key as the tables have it. */
export interface StoredKey {
  readonly key: string;
  /** The whole name, where `key` is only its beginning and a digest. */
  readonly name: string | null;
}

/** An index takes a third of a page, 2,704 bytes; a shorter key makes a faster index as well. */
const LONGEST_BYTES = 1_000;
const BEGINNING = 200;

/**
 * PostgreSQL's text has no NUL, and no index for text of any length. A backslash begins what stands for something else, so that no two
 * names meet: `\\` for itself, `\0` for NUL, `\h` for the digest of a long name.
 */
export function stored(name: string): StoredKey {
  const key = escaped(name);
  if (key.length * 3 <= LONGEST_BYTES || Buffer.byteLength(key) <= LONGEST_BYTES) return { key, name: null };
  const beginning = escaped(name.slice(0, BEGINNING).replace(/[\ud800-\udbff]$/, ''));
  return { key: `${beginning}\\h${createHash('sha256').update(key).digest('hex')}`, name: key };
}

/** The beginning of a key, for `list`. */
export const escaped = (name: string): string => name.replace(AWKWARD, escape);

/** The name of a key that `list` gave. */
export const nameOf = (key: string): string => key.replace(/\\[\\0]/g, (pair) => (pair === '\\0' ? '\0' : '\\'));

// oxlint-disable-next-line no-control-regex -- NUL is what it looks for
const AWKWARD = /[\\\0]/g;
const escape = (character: string): string => (character === '\0' ? '\\0' : '\\\\');
