import { type DynamicModule, type FactoryProvider, Module, type Provider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { LockMetrics } from './lock-metrics.js';
import type { LockMetricsAsyncOptions, LockMetricsOptions } from './lock-metrics.options.js';

/** Private to each `forRoot`, since a module does not export it. */
const OPTIONS = Symbol.for('nestjs-distributed-lock:metrics-options');

/**
 * Metrics of all locks of the application for Prometheus, in a registry of `prom-client`. Import it once, in the root module. Your endpoint
 * `/metrics` of that registry then serves them too.
 *
 * ```ts
 * imports: [DistributedLockModule.forRoot({ backend }), LockMetricsModule.forRoot()]
 * ```
 *
 * Labels are the lock's name (the template of `@Locked`, or the option `name`) and the backend, never a key, so the number of series does
 * not grow with the number of orders.
 */
@Module({})
export class LockMetricsModule {
  static forRoot(options: LockMetricsOptions = {}): DynamicModule {
    return assemble([], { provide: OPTIONS, useValue: options });
  }

  static forRootAsync({ imports = [], inject = [], useFactory }: LockMetricsAsyncOptions): DynamicModule {
    // Nest calls it with what `inject` names.
    return assemble(imports, { provide: OPTIONS, inject, useFactory: useFactory as FactoryProvider['useFactory'] });
  }
}

function assemble(imports: NonNullable<DynamicModule['imports']>, options: Provider): DynamicModule {
  return {
    module: LockMetricsModule,
    imports,
    providers: [
      options,
      {
        provide: LockMetrics,
        inject: [OPTIONS, ModulesContainer],
        useFactory: (given: LockMetricsOptions, application: ModulesContainer) => new LockMetrics(given, application),
      },
    ],
  };
}
