import { LockConfigurationError } from './errors.js';

/**
 * Refuses an option that nobody reads: misspelt, or meant for something else, it would be as good as none, and the lock another one
 * than was asked for. The compiler sees it only where the options are written down, not in what a factory or a configuration gives.
 *
 * @param owner whose options they are, such as `DistributedLockModule`, for the message
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

/** What was given in place of an object. A text is not shown, for an address has the password in it; nor is the source of a function. */
export function inShort(value: unknown): string {
  return typeof value === 'string' || typeof value === 'function' ? `a ${typeof value}` : String(value);
}
