import { LockConfigurationError, LockKeyError } from '../../lock/errors.js';
import { compileTemplate, type ResolveArgument } from './key-template.js';

/** `'order:<id>'`, an array of templates to lock all of them, or a function of the values. */
export type LockKey<Arguments extends readonly unknown[], This = unknown> =
  | string
  | readonly string[]
  | ((this: This, ...args: Arguments) => string | readonly string[]);

/**
 * The keys of one call. Templates are compiled now; the result of a function is checked at each call.
 *
 * @throws LockConfigurationError for a template that cannot work
 */
export function compileKey(
  key: LockKey<never, never>,
  resolver: () => ResolveArgument,
  where: string,
): (self: unknown, values: readonly unknown[]) => readonly string[] {
  if (typeof key === 'function') {
    // The decorator's types have tied the function's parameters to the method's.
    const keyOf = key as (this: unknown, ...args: readonly unknown[]) => unknown;
    return (self, values) => checked(keyOf.apply(self, [...values]), where);
  }
  const templates: readonly unknown[] = Array.isArray(key) ? key : [key];
  if (templates.length === 0) throw new LockConfigurationError(`${where}: the list of lock keys is empty.`);
  const resolve = resolver();
  const compiled = templates.map((template) => {
    if (typeof template === 'string') return compileTemplate(template, resolve, where);
    throw new LockConfigurationError(
      `${where}: a lock key is a string, an array of strings or a function of the arguments; this is ${typeof template}.`,
    );
  });
  return (_self, values) => compiled.map((keyFrom) => keyFrom(values));
}

/** The name of a lock without the option `name`: its template, or the method if the key is a function. */
export function nameOfKey(key: LockKey<never, never>, where: string): string {
  if (typeof key === 'function') return where;
  return typeof key === 'string' ? key : key.join(' + ');
}

/** For the report at boot. */
export function readableKey(key: LockKey<never, never>): string {
  if (typeof key === 'function') return 'a function of its arguments';
  return typeof key === 'string' ? `"${key}"` : key.map((each) => `"${each}"`).join(' + ');
}

function checked(key: unknown, where: string): readonly string[] {
  const keys: readonly unknown[] = Array.isArray(key) ? key : [key];
  if (keys.length > 0 && keys.every((each) => typeof each === 'string' && each !== '')) {
    // Just checked, one by one.
    return keys as readonly string[];
  }
  throw new LockKeyError(
    `${where}: the function for the lock key gave ${describe(key)} instead of a string or an array of strings; ` +
      'nothing was locked and the method did not run.',
  );
}

function describe(key: unknown): string {
  if (key instanceof Promise) return 'a promise (it may not be async)';
  if (Array.isArray(key)) return key.length === 0 ? 'an empty array' : 'an array with something else in it';
  return key === '' ? 'an empty string' : key === null ? 'null' : typeof key;
}
