import { inspect } from 'node:util';
import type { LockJson } from './lock.js';

/** A token as JSON can carry it: digits, because a JSON number is exact to 2^53 only. */
export const tokenText = (token: bigint | undefined): string | undefined => token?.toString();

/**
 * Lets an object with a fencing token pass through `JSON.stringify`, which refuses a `bigint`: its token becomes a string of digits.
 * Nothing else about the object changes, and comparisons and copies do not see it.
 */
export function readable<T extends { readonly fencingToken: bigint | undefined }>(shown: T): T {
  return Object.defineProperty(shown, 'toJSON', {
    value: () => ({ ...shown, fencingToken: tokenText(shown.fencingToken) }),
  });
}

/** The name of the method by which `console.log` and `util.inspect` print an object. */
export const printed = inspect.custom;

/** A lock in one line, for logs. */
export function printedLock(lock: LockJson, released: boolean): string {
  const { key, owner, mode, fencingToken, held, remainingMs } = lock;
  const state = held ? `held for ${remainingMs} ms more` : released ? 'released' : 'lost';
  const token = fencingToken === undefined ? '' : `, token ${fencingToken}`;
  return `Lock(${JSON.stringify(key)}, ${mode}, ${state}${token}, ${owner})`;
}
