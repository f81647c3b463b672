import type { LockBackend } from '../../backends/backend.js';
import type { Duration } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import type { AcquireOptions } from '../../lock/lock.js';
import { checkDefaultNames, type ResolvedOptions, resolveOptions, resolveTtl, withDefaults } from './options.js';

/** Completes and checks the options of calls, with the defaults of a module and the traits of its backend. */
export class OptionResolver {
  readonly #defaults: AcquireOptions;
  readonly #profiles = new Map<string, AcquireOptions>();
  readonly #resolved = new WeakMap<AcquireOptions, ResolvedOptions>();

  /** @throws LockConfigurationError when the defaults can never work with this backend */
  constructor(
    defaults: AcquireOptions = {},
    private readonly backend: Pick<LockBackend, 'traits' | 'kind'>,
    profiles: Readonly<Record<string, AcquireOptions>> = {},
  ) {
    checkDefaultNames(defaults);
    this.#defaults = Object.freeze({ ...defaults });
    this.check({});
    for (const [name, profile] of Object.entries(profiles)) {
      checkDefaultNames(profile, `the profile "${name}"`);
      this.#profiles.set(name, withDefaults(profile, this.#defaults));
      this.check({ profile: name });
    }
  }

  /** The options for a call that sets none: its profile, then the defaults. */
  #below({ profile }: AcquireOptions): AcquireOptions {
    if (profile === undefined) return this.#defaults;
    const found = this.#profiles.get(profile);
    if (found) return found;
    const known = [...this.#profiles.keys()].map((name) => `"${name}"`).join(', ');
    throw new LockConfigurationError(
      `There is no profile "${profile}" in the \`profiles\` of DistributedLockModule. Known: ${known || 'none'}.`,
    );
  }

  /** @throws LockConfigurationError when the options can never work with this backend */
  check(options: AcquireOptions): ResolvedOptions {
    return resolveOptions(withDefaults(options, this.#below(options)), this.backend.traits, this.backend.kind);
  }

  /** As `check`. Only a frozen object is checked just once, because any other object can change. */
  resolve(options: AcquireOptions): ResolvedOptions {
    if (!Object.isFrozen(options)) return this.check(options);
    let resolved = this.#resolved.get(options);
    if (!resolved) this.#resolved.set(options, (resolved = this.check(options)));
    return resolved;
  }

  /** Checks a ttl from the user, in milliseconds. */
  ttl(ttl: Duration): number {
    return resolveTtl(ttl, this.backend.traits, this.backend.kind);
  }
}
