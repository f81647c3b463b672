import { inspect } from 'node:util';

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
