import type { LockBackend } from '../../backends/backend.js';
import type { Duration } from '../../lock/duration.js';
import type { AcquireOptions } from '../../lock/lock.js';
import { checkDefaultNames, type ResolvedOptions, resolveOptions, resolveTtl, withDefaults } from './options.js';

/** Fills in and checks the options of calls, by the defaults of a module and the traits of its backend. */
export class OptionResolver {
  readonly #defaults: AcquireOptions;
  readonly #resolved = new WeakMap<AcquireOptions, ResolvedOptions>();

  /** @throws LockConfigurationError when the defaults can never work with this backend */
  constructor(
    defaults: AcquireOptions = {},
    private readonly backend: Pick<LockBackend, 'traits' | 'kind'>,
  ) {
    checkDefaultNames(defaults);
    this.#defaults = Object.freeze({ ...defaults });
    this.check({});
  }

  /** @throws LockConfigurationError when the options can never work with this backend */
  check(options: AcquireOptions): ResolvedOptions {
    return resolveOptions(withDefaults(options, this.#defaults), this.backend.traits, this.backend.kind);
  }

  /** As `check`. Only a frozen object is looked at once: any other may say something else the next time. */
  resolve(options: AcquireOptions): ResolvedOptions {
    if (!Object.isFrozen(options)) return this.check(options);
    let resolved = this.#resolved.get(options);
    if (!resolved) this.#resolved.set(options, (resolved = this.check(options)));
    return resolved;
  }

  /** Checks a ttl given by the user, in milliseconds. */
  ttl(ttl: Duration): number {
    return resolveTtl(ttl, this.backend.traits, this.backend.kind);
  }
}
