import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { register } from 'prom-client';
import type { Subscription } from 'rxjs';
import { LockConfigurationError } from '../lock/errors.js';
import { checkOptionNames } from '../lock/option-names.js';
import { HOLD_SECONDS, WAIT_SECONDS } from '../metrics/tally.js';
import { type Application, lockServicesOf } from '../nest/service/application.js';
import type { LockMetricsOptions } from './lock-metrics.options.js';
import { Published, publishedIn } from './published.js';

const NAMES: ReadonlySet<string> = new Set(['registry', 'prefix', 'waitBuckets', 'holdBuckets']);

/** Counts the events of one application into its registry, from the start to the end of the application. */
export class LockMetrics implements OnModuleInit, OnApplicationShutdown {
  readonly #published: Published;
  readonly #subscriptions: Subscription[] = [];
  readonly #stops: (() => void)[] = [];

  /** @throws LockConfigurationError */
  constructor(
    options: LockMetricsOptions,
    private readonly application: Application,
  ) {
    checkOptionNames('LockMetricsModule', options, NAMES);
    const { registry = register, prefix = 'lock_', waitBuckets = WAIT_SECONDS, holdBuckets = HOLD_SECONDS } = options;
    this.#published = publishedIn(registry, prefix, {
      waits: checked('waitBuckets', waitBuckets),
      holds: checked('holdBuckets', holdBuckets),
    });
  }

  onModuleInit(): void {
    const services = lockServicesOf(this.application);
    if (services.size === 0) {
      throw new LockConfigurationError(
        'LockMetricsModule found no locks to count. Import DistributedLockModule.forRoot({ backend }) in this application.',
      );
    }
    // The default backend has two names here; a test may have put something of its own in place of a service.
    for (const service of new Set(services.values())) {
      const subscription = service.events$?.subscribe((event) => this.#published.tally.add(event));
      if (subscription) this.#subscriptions.push(subscription);
      this.#stops.push(this.#published.watch(service));
    }
  }

  onApplicationShutdown(): void {
    for (const stop of this.#stops) stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}

function checked(option: string, bounds: readonly number[]): readonly number[] {
  const grows = bounds.every((bound, at) => Number.isFinite(bound) && bound > (bounds[at - 1] ?? 0));
  if (Array.isArray(bounds) && bounds.length > 0 && grows) return [...bounds];
  throw new LockConfigurationError(
    `\`${option}\` of LockMetricsModule is a list of seconds that grow, such as [0.01, 0.1, 1]; this is ${JSON.stringify(bounds)}.`,
  );
}
