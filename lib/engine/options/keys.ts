import { LockConfigurationError, LockKeyError } from '../../lock/errors.js';

/** Joins several keys into one text, for messages and `Lock.key`. */
export const joined = (keys: readonly string[]): string => keys.join(' + ');

/**
 * Removes repeated keys and sorts the rest. Every process locks keys in this one order, so two calls with overlapping keys never wait for
 * each other in a circle.
 * @throws LockKeyError for a value that is not a key
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

/** Maximum length of a key, in bytes of UTF-8. A longer key costs every server and every message, and some servers refuse it late. */
const MOST_BYTES = 8_192;

function checked(key: unknown): string {
  if (typeof key !== 'string')
    throw new LockKeyError(`A key is a string; this is ${key === null ? 'null' : typeof key}.`);
  if (key === '') throw new LockKeyError('The key is empty, so every caller would lock the same. Name what is locked.');
  // Half a surrogate pair has no UTF-8 form, so all such keys would be one key on a server.
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
