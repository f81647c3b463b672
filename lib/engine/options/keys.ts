import { LockConfigurationError, LockKeyError } from '../../lock/errors.js';

/** How several keys read as one, in messages and as `Lock.key`. */
export const joined = (keys: readonly string[]): string => keys.join(' + ');

/**
 * The keys without repetition, in the one order in which everybody locks them: two calls for overlapping sets then never wait
 * for each other in a circle.
 * @throws LockKeyError for a key that is no key
 */
export function canonicalKeys(key: string | readonly string[]): readonly string[] {
  if (typeof key === 'string') return [checked(key)];
  if (!Array.isArray(key) || key.length === 0) {
    throw new LockKeyError(
      `A key is a string, or an array of at least one; this is ${Array.isArray(key) ? 'an empty array' : key === null ? 'null' : typeof key}.`,
    );
  }
  return [...new Set(key.map(checked))].sort();
}

/** How long a key can be, in bytes of UTF-8. A longer one costs every server and every message, and some servers refuse it late. */
const MOST_BYTES = 8_192;

function checked(key: unknown): string {
  if (typeof key !== 'string')
    throw new LockKeyError(`A key is a string; this is ${key === null ? 'null' : typeof key}.`);
  if (key === '') throw new LockKeyError('The key is empty, so every caller would lock the same. Name what is locked.');
  // Half a surrogate pair has no UTF-8 form: on a server all such keys would be one.
  if (!key.isWellFormed())
    throw new LockKeyError(`The key ${JSON.stringify(key)} has half a surrogate pair, which no server can store.`, {
      key,
    });
  const bytes = key.length * 3 > MOST_BYTES ? Buffer.byteLength(key) : 0;
  if (bytes > MOST_BYTES) {
    throw new LockKeyError(
      `The key '${key.slice(0, 40)}…' has ${bytes} bytes, and a key has at most ${MOST_BYTES}. Lock a hash of it instead.`,
      { key: `${key.slice(0, 40)}…` },
    );
  }
  return key;
}

/** @throws LockConfigurationError when the prefix cannot be part of a key */
export function checkedPrefix(prefix: string): string {
  if (typeof prefix === 'string' && prefix.isWellFormed()) return prefix;
  throw new LockConfigurationError(`\`prefix\` is ${JSON.stringify(prefix)}; it is a string, such as 'lock:'.`);
}
