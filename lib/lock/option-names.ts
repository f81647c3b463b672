import { LockConfigurationError } from './errors.js';

/**
 * Refuses an unknown option. Otherwise a misspelt option would do nothing, and the lock would differ from what you asked for. The compiler
 * sees such a mistake only in an object literal, not in what a factory or a configuration returns.
 *
 * @param owner the owner of the options, such as `DistributedLockModule`, for the message
 * @throws LockConfigurationError
 */
export function checkOptionNames(owner: string, options: object, names: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null) {
    throw new LockConfigurationError(`The options of ${owner} are an object; this is ${inShort(options)}.`);
  }
  for (const name in options) {
    if (names.has(name)) continue;
    throw new LockConfigurationError(
      `\`${name}\` is not an option of ${owner}. Known: ${[...names].map((known) => `\`${known}\``).join(', ')}.`,
    );
  }
}

/** Describes a value that is not an object. It hides texts, because an address may have a password in it, and the source of functions. */
export function inShort(value: unknown): string {
  return typeof value === 'string' || typeof value === 'function' ? `a ${typeof value}` : String(value);
}
