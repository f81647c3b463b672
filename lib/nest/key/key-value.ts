import { LockKeyError } from '../../lock/errors.js';

/**
 * Turns a value into a part of a key. Strings, numbers, bigints and booleans have a text of their own. `7`, `7n` and `'7'` give the same
 * text on purpose, because an id is a number in one place and a route's text in the next. Everything else is refused: `undefined` and
 * `null` would lock the wrong thing, every object reads `[object Object]`, and two dates of one day differ.
 *
 * The text is percent-encoded, so that no value can reach over the separator into the next one (`a:b` + `c` and `a` + `b:c`).
 *
 * @throws LockKeyError
 */
export function encodeKeyValue(value: unknown, placeholder: string, where: string): string {
  if (isKeyValue(value)) return encodeURIComponent(String(value));
  throw new LockKeyError(
    `${where}: \`${placeholder}\` in the lock key is ${kindOf(value)}. A key is made of strings, finite numbers, bigints and ` +
      `booleans; nothing was locked and the method did not run. ${adviceFor(value)}`,
  );
}

function isKeyValue(value: unknown): value is string | number | bigint | boolean {
  switch (typeof value) {
    case 'string':
      // `encodeURIComponent` throws for half a surrogate pair.
      return !/\p{Surrogate}/u.test(value);
    case 'number':
      return Number.isFinite(value);
    case 'bigint':
    case 'boolean':
      return true;
    default:
      return false;
  }
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'a string with half a surrogate pair in it';
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'no prototype'})`;
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  return String(value);
}

function adviceFor(value: unknown): string {
  if (value instanceof Date)
    return 'For a date give a function instead, such as `(day) => `report:${day.toISOString()}``.';
  if (hasOwnText(value))
    return 'Its text is its own affair, so say which one you mean with a function, such as `(id) => `order:${id.toString()}``.';
  return typeof value === 'object' && value !== null
    ? 'Name one of its properties, such as `<order.id>`, or give a function of the arguments.'
    : 'Check what the method was called with.';
}

/** An identifier with a class of its own, such as an ObjectId. */
function hasOwnText(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return 'toString' in value && value.toString !== Object.prototype.toString;
}
