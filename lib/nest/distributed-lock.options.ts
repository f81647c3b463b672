import type { ModuleMetadata, Type } from '@nestjs/common';
import type { LockBackend } from '../backends/backend.js';
import type { ConfiguredDuration } from '../lock/duration.js';
import type { AcquireOptions, ConfiguredOptions } from '../lock/lock.js';
import type { LockLogOptions } from './log/lock-log.options.js';
import type { LockInstrumentation } from '../lock/instrumentation.js';
import type { OptionsFactory } from './service/options-factory.js';

interface CommonOptions {
  /** Put before every key on the server, so that services can share one. @default 'lock:' */
  readonly prefix?: string;
  /** Acquire options for every lock that does not say otherwise. Durations may be any text here, which is checked at boot. */
  readonly defaults?: ConfiguredOptions;
  /**
   * Take a lock for a moment on every backend while the application starts, as `LockService.ping()` does, and do not start where that
   * fails: `LockBackendError`. A server that does not answer in time is asked once more.
   *
   * @default true
   */
  readonly checkAtBoot?: boolean;
  /**
   * How long the shutdown waits for held locks, in milliseconds or such as `'30s'`, from its beginning. Then `signal` aborts, and the work
   * has one second to stop before the locks are released.
   *
   * @default '10s'
   */
  readonly shutdownGrace?: ConfiguredDuration;
  /**
   * Observes every call for a lock, such as `otel()` of `nestjs-distributed-lock/opentelemetry`. The first of several is the outermost.
   *
   * @default none
   */
  readonly instrumentation?: LockInstrumentation | readonly LockInstrumentation[];
  /**
   * What the locks write to the application's log: the backends at the start, losses, a backend that goes away and comes back, what the
   * shutdown waits for and what it leaves. `false` writes nothing; an object leaves out parts.
   *
   * @default true
   */
  readonly log?: boolean | LockLogOptions;
}

interface RuntimeOptions {
  /**
   * Options that are known at run time only, by names of your own: `profiles: { slow: { wait: config.get('SLOW_WAIT') } }` here, and
   * `profile: 'slow'` on a lock. Checked at boot.
   */
  readonly profiles?: Readonly<Record<string, ConfiguredOptions>>;
  /** How a shutdown treats work under locks that do not set it; see `onShutdown` of a lock. @default 'finish' */
  readonly onShutdown?: AcquireOptions['onShutdown'];
}

interface OneBackend {
  /** Where the locks live; its name is `default`. */
  readonly backend: LockBackend;
  readonly backends?: never;
  readonly default?: never;
}

interface NamedBackends<Name extends string> {
  readonly backend?: never;
  /** Where the locks live, by names of your own: `@Locked(key, { backend: 'audit' })`, `@InjectLockService('audit')`. */
  readonly backends: Readonly<Record<Name, LockBackend>>;
  /**
   * The one that `LockService` and a lock without `backend` mean. It can be left out when there is only one. `false`: none of these,
   * because another `forRoot` of the application has it.
   */
  readonly default?: NoInfer<Name> | false;
}

/** Locks that end with the process: `memory()`, announced in the log, refused with `NODE_ENV=production`. */
interface NoBackend {
  readonly backend?: never;
  readonly backends?: never;
  readonly default?: never;
}

/** The result of `useFactory` and `DistributedLockOptionsFactory`. Durations are milliseconds or strings such as `'30s'`. */
export type DistributedLockOptions<Name extends string = string> = CommonOptions &
  RuntimeOptions &
  (OneBackend | NamedBackends<Name> | NoBackend);

/** Nest must know it before any factory runs, so it stands outside the factory. */
interface Visibility {
  /** Whether every module of the application can inject the lock services without importing this one. @default true */
  readonly isGlobal?: boolean;
}

/** Options of `DistributedLockModule.forRoot()`. */
export type DistributedLockModuleOptions<Name extends string = string> = DistributedLockOptions<Name> & Visibility;

/** For `useClass` and `useExisting`. */
export interface DistributedLockOptionsFactory {
  createDistributedLockOptions(): Promise<DistributedLockOptions> | DistributedLockOptions;
}

/** Options of `DistributedLockModule.forRootAsync()`: one of `useFactory`, `useClass` and `useExisting`. */
export type DistributedLockModuleAsyncOptions = Visibility &
  Pick<ModuleMetadata, 'imports'> & {
    /**
     * The names of the backends that the factory returns. Nest must know the injection tokens before the factory runs. Any other name is an
     * error at boot.
     *
     * @default ['default'], the name of `backend`
     */
    readonly names?: readonly string[];
    /** `false`: none of these is the default backend, because another `forRoot` of the application has it. */
    readonly default?: false;
  } & (
    | (OptionsFactory<DistributedLockOptions> & {
        readonly useClass?: never;
        readonly useExisting?: never;
      })
    | {
        /** A class that this module makes, with the exports of `imports`. */
        readonly useClass: Type<DistributedLockOptionsFactory>;
        readonly useFactory?: never;
        readonly useExisting?: never;
      }
    | {
        /** A provider that one of `imports` exports. */
        readonly useExisting: Type<DistributedLockOptionsFactory>;
        readonly useFactory?: never;
        readonly useClass?: never;
      }
  );
