import type { Claim, LockBackend } from '../../backends/backend.js';
import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockBackendError, LockConfigurationError, type LockErrorDetails } from '../../lock/errors.js';
import type { ListOptions, LockPage } from '../../lock/listing.js';
import type { LockInfo } from '../../lock/lock.js';
import { CHECK_THE_SERVER, messageOf } from '../../lock/messages.js';
import { ask } from '../asking/ask.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Family } from '../leases/family.js';
import { canonicalKeys } from '../options/keys.js';
import type { Clock } from '../time/clock.js';
import { infoOf, listLocks } from './list.js';
import { PROBE_KEY, probe } from './probe.js';

export interface QuestionsTools {
  readonly backend: LockBackend;
  /** The backend's name in the module. */
  readonly backendName: string;
  /** The prefix of every key on the server. */
  readonly prefix: string;
  readonly clock: Clock;
  /** Time limit of a single call to the server, in milliseconds. */
  readonly callTimeout: number;
  readonly family: Family;
  readonly retries: ReleaseRetries;
  readonly nextOwner: () => string;
}

/** An operator's questions to the server: who holds what, and whether locks work. Each rejects with a `LockBackendError` if it fails. */
export class Questions {
  constructor(private readonly tools: QuestionsTools) {}

  async inspect(key: string): Promise<LockInfo> {
    const { backend, prefix } = this.tools;
    const [name = ''] = canonicalKeys(key);
    const state = await this.#ask(`inspect '${name}'`, { key: name }, () => backend.inspect(prefix + name));
    return infoOf(name, state);
  }

  async list(options: ListOptions): Promise<LockPage> {
    const { backend, backendName, prefix } = this.tools;
    if (!backend.list) {
      throw new LockConfigurationError(
        `The backend '${backendName}' (${backend.kind}) cannot list its locks. Look at single keys with inspect().`,
        { backend: backendName },
      );
    }
    return listLocks(options, prefix, (query) =>
      this.#ask('list its locks', {}, async () => backend.list?.(query) ?? { keys: [] }),
    );
  }

  async forceRelease(key: string): Promise<boolean> {
    const { backend, prefix } = this.tools;
    const [name = ''] = canonicalKeys(key);
    return this.#ask(`force the release of '${name}'`, { key: name }, () => backend.forceRelease(prefix + name));
  }

  /** @param timeout for the whole ping; by default each call has its own time limit */
  async ping({ ttl, claimTtl }: Pick<Claim, 'ttl' | 'claimTtl'>, timeout: Duration | undefined): Promise<void> {
    const { backend, prefix, clock, callTimeout, family, retries, nextOwner } = this.tools;
    const milliseconds = timeout === undefined ? callTimeout : toMilliseconds('timeout', timeout);
    const until = clock.now() + milliseconds;
    await this.#ask('be reached', {}, () => backend.ping(), milliseconds);
    const owner = nextOwner();
    const claim: Claim = { key: prefix + PROBE_KEY, owner, mode: 'exclusive', limit: 1, ttl, claimTtl };
    const left = timeout === undefined ? callTimeout : Math.max(0, until - clock.now());
    await this.#ask('take a lock and give it back', {}, () => probe(family, retries, claim), left);
  }

  /** Warnings for an operator, although locks work. A backend that cannot answer now has none. */
  async warnings(): Promise<readonly string[]> {
    const { backend, clock, callTimeout } = this.tools;
    if (!backend.warnings) return [];
    return ask(clock, callTimeout, async () => (await backend.warnings?.()) ?? []).catch(() => []);
  }

  async #ask<T>(
    what: string,
    details: LockErrorDetails,
    question: () => Promise<T>,
    milliseconds = this.tools.callTimeout,
  ): Promise<T> {
    const { backend, backendName, clock } = this.tools;
    try {
      return await ask(clock, milliseconds, question);
    } catch (cause) {
      // No server can help with that error.
      if (cause instanceof LockConfigurationError) throw cause;
      throw new LockBackendError(
        `The lock backend '${backendName}' (${backend.kind}) could not ${what}: ${messageOf(cause)}. ` +
          CHECK_THE_SERVER,
        { backend: backendName, cause, ...details },
      );
    }
  }
}
