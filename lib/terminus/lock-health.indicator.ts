import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import type { Duration } from '../lock/duration.js';
import { messageOf } from '../lock/messages.js';
import { type Application, lockServiceOf } from '../nest/service/application.js';
import { DEFAULT_BACKEND } from '../nest/service/lock.tokens.js';
import { publicReason } from './public-reason.js';

/** Options of `LockHealthIndicator.isHealthy()`. */
export interface LockHealthOptions {
  /** The backend to ask, by its name in the module. @default the default backend */
  readonly backend?: string;
  /** How long the answer may take, all in all: milliseconds or a string such as `'2s'`. @default '1s' */
  readonly timeout?: Duration;
}

/**
 * Whether locks work, for `@nestjs/terminus`: takes a lock for a moment and gives it back. Provide it beside the controller that uses it, in a
 * module that imports `TerminusModule`.
 *
 * ```ts
 * this.health.check([() => this.locks.isHealthy('locks')]);
 * ```
 *
 * The answer names neither host nor key, because whoever may ask for the health of a service gets it. The log has the whole reason, once
 * for each time that the backend goes away.
 */
@Injectable()
export class LockHealthIndicator {
  readonly #logger = new Logger('LockHealthIndicator');
  readonly #down = new Set<string>();

  constructor(
    @Inject(HealthIndicatorService) private readonly health: HealthIndicatorService,
    @Inject(ModulesContainer) private readonly application: Application,
  ) {}

  /**
   * @param key what the result is called in the answer, such as `'locks'`
   * @throws LockConfigurationError when there is no such backend
   */
  async isHealthy<const Key extends string>(
    key: Key,
    { backend = DEFAULT_BACKEND, timeout = '1s' }: LockHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const service = lockServiceOf(this.application, backend, 'LockHealthIndicator.isHealthy');
    const session = this.health.check(key);
    try {
      await service.ping({ timeout });
      if (this.#down.delete(backend)) this.#logger.log(`The lock backend "${backend}" works again.`);
      return session.up();
    } catch (error) {
      if (!this.#down.has(backend)) this.#logger.warn(messageOf(error));
      this.#down.add(backend);
      return session.down(publicReason(error));
    }
  }
}
