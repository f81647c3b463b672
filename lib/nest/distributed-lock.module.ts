import { type DynamicModule, type FactoryProvider, Module, type Provider, type Type } from '@nestjs/common';
import { BaseExceptionFilter, ModulesContainer } from '@nestjs/core';
import type { LockBackend } from '../backends/backend.js';
import { hideStatusCode, LockConfigurationError } from '../lock/errors.js';
import { addLockService } from './service/application.js';
import { BootReportModule } from './boot-report.module.js';
import type {
  DistributedLockModuleAsyncOptions,
  DistributedLockModuleOptions,
  DistributedLockOptions,
  DistributedLockOptionsFactory,
} from './distributed-lock.options.js';
import { checkBackend, lockBackends, type LockBackends, namesIn } from './lock-backends.js';
import { LeaderModule } from './leader/leader.module.js';
import { LockEngines, type LocksUnderTest } from './lock-engines.js';
import { lockLifecyclesOf } from './service/lock-lifecycles.js';
import type { LockService } from './service/lock.service.js';
import { DEFAULT_BACKEND, getLockBackendToken, getLockServiceToken } from './service/lock.tokens.js';

if (!('getHttpErrorMessage' in BaseExceptionFilter.prototype)) hideStatusCode();

/** Private to each `forRoot`, since a module does not export it. */
export const OPTIONS = Symbol.for('nestjs-distributed-lock:options');
const BACKENDS = Symbol.for('nestjs-distributed-lock:backends');
/** For `LockTestingModule` to override. */
export const UNDER_TEST = Symbol.for('nestjs-distributed-lock:under-test');
const REGISTRATION = Symbol.for('nestjs-distributed-lock:registration');

/**
 * Distributed locks for the application: `@Locked` on methods, `LockService` by hand. Import it once, in the root module.
 *
 * ```ts
 * imports: [DistributedLockModule.forRoot({ backend: redis({ url: 'redis://localhost' }) })]
 * ```
 */
@Module({})
export class DistributedLockModule {
  /**
   * Options that are known when the module is imported. Without any, locks live in memory and end at the process.
   *
   * What is wrong with them (`LockConfigurationError`), and a lock server that does not answer (`LockBackendError`), comes out of
   * `NestFactory.create` or `app.init`.
   */
  static forRoot<const Name extends string = string>(options: DistributedLockModuleOptions<Name> = {}): DynamicModule {
    const { isGlobal = true } = options;
    return assemble({
      isGlobal,
      // A wider view of the same object: `default` then is any string, and is checked at boot.
      options: { provide: OPTIONS, useValue: options as DistributedLockOptions },
      names: namesIn(options),
      hasDefault: options.default !== false,
    });
  }

  /**
   * Options from other providers. The names of backends stand outside the factory, in `names`.
   *
   * ```ts
   * DistributedLockModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ backend: redis({ url: config.getOrThrow('REDIS_URL') }) }),
   * })
   * ```
   */
  static forRootAsync(options: DistributedLockModuleAsyncOptions): DynamicModule {
    const { isGlobal = true, names = [DEFAULT_BACKEND], imports = [] } = options;
    return assemble({
      isGlobal,
      imports,
      ...asyncOptions(options),
      names,
      hasDefault: options.default !== false,
    });
  }
}

/** The parts of a lock module. */
export interface LockModuleParts {
  readonly module?: Type;
  readonly isGlobal: boolean;
  readonly imports?: NonNullable<DynamicModule['imports']>;
  /** Provides `OPTIONS`. */
  readonly options: Provider;
  /** The modules and tokens that `options` needs. */
  readonly more?: readonly Provider[];
  readonly names: readonly string[];
  readonly hasDefault: boolean;
  readonly testing?: LocksUnderTest;
}

/** For `DistributedLockModule` and `LockTestingModule`. */
export function assemble({
  module = DistributedLockModule,
  isGlobal,
  imports = [],
  options,
  more = [],
  names,
  hasDefault,
  testing,
}: LockModuleParts): DynamicModule {
  const served = servedNames(names, hasDefault);
  return {
    module,
    global: isGlobal,
    imports: [...imports, BootReportModule, LeaderModule],
    providers: [
      options,
      ...more,
      {
        provide: BACKENDS,
        inject: [OPTIONS],
        useFactory: (given: DistributedLockOptions) => lockBackends(given, names, hasDefault),
      },
      ...served.map((name) => backendProvider(name)),
      { provide: UNDER_TEST, useValue: testing ?? null },
      {
        provide: LockEngines,
        inject: [OPTIONS, BACKENDS, UNDER_TEST, ModulesContainer, ...served.map((name) => getLockBackendToken(name))],
        useFactory: (
          given: DistributedLockOptions,
          backends: LockBackends,
          underTest: LocksUnderTest | null,
          application: ModulesContainer,
          ...final: LockBackend[]
        ) => {
          const replaced = new Map(served.map((name, at) => [name, final[at]]));
          const engines = new LockEngines(
            withReplacements(backends, replaced),
            given,
            underTest ?? undefined,
            application,
          );
          lockLifecyclesOf(application).add(engines);
          return engines;
        },
      },
      ...served.map((name) => serviceProvider(name)),
      registration(served),
    ],
    exports: served.map((name) => getLockServiceToken(name)),
  };
}

/** The `LockService`s: the default one, whatever its backend's name, and one for each name. */
function servedNames(names: readonly string[], hasDefault: boolean): readonly string[] {
  const named = new Set(names);
  named.delete(DEFAULT_BACKEND);
  return hasDefault ? [DEFAULT_BACKEND, ...named] : [...named];
}

/** A provider of its own, so that a test can put another backend in its place. */
function backendProvider(name: string): Provider {
  return {
    provide: getLockBackendToken(name),
    inject: [BACKENDS],
    useFactory: ({ backends, defaultName }: LockBackends) =>
      backends.get(name === DEFAULT_BACKEND ? (defaultName ?? name) : name),
  };
}

/** The backends as the container has them in the end. The default one answers to two tokens, either of which a test may override. */
function withReplacements(given: LockBackends, final: ReadonlyMap<string, LockBackend | undefined>): LockBackends {
  const backends = new Map<string, LockBackend>();
  for (const [name, original] of given.backends) {
    const candidates = [final.get(name), name === given.defaultName ? final.get(DEFAULT_BACKEND) : undefined];
    const backend = candidates.find((each) => each !== undefined && each !== original) ?? original;
    checkBackend(name, backend);
    backends.set(name, backend);
  }
  return { ...given, backends };
}

function serviceProvider(name: string): Provider {
  return {
    provide: getLockServiceToken(name),
    inject: [LockEngines],
    useFactory: (engines: LockEngines) => engines.service(name === DEFAULT_BACKEND ? engines.defaultName : name),
  };
}

/** Lets decorated methods find the services: those that the container has in the end, so that a test can override them. */
function registration(served: readonly string[]): Provider {
  return {
    provide: REGISTRATION,
    inject: [ModulesContainer, ...served.map((name) => getLockServiceToken(name))],
    useFactory: (application: ModulesContainer, ...services: LockService[]) => {
      services.forEach((service, at) => addLockService(application, served[at] ?? DEFAULT_BACKEND, service));
      return REGISTRATION;
    },
  };
}

function asyncOptions(options: DistributedLockModuleAsyncOptions): { options: Provider; more: readonly Provider[] } {
  const create = (factory: DistributedLockOptionsFactory) => factory.createDistributedLockOptions();
  if (options.useFactory !== undefined) {
    // Nest calls it with the values of `inject`.
    const useFactory = options.useFactory as FactoryProvider['useFactory'];
    return { options: { provide: OPTIONS, useFactory, inject: options.inject ?? [] }, more: [] };
  }
  if (options.useClass !== undefined) {
    return { options: { provide: OPTIONS, useFactory: create, inject: [options.useClass] }, more: [options.useClass] };
  }
  if (options.useExisting !== undefined) {
    return { options: { provide: OPTIONS, useFactory: create, inject: [options.useExisting] }, more: [] };
  }
  throw new LockConfigurationError(
    'DistributedLockModule.forRootAsync() needs one of `useFactory`, `useClass` and `useExisting`.',
  );
}
