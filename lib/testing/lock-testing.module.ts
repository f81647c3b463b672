import { type DynamicModule, Module } from '@nestjs/common';
import type { LockBackend } from '../backends/backend.js';
import { memory } from '../backends/memory/index.js';
import { type Duration, toMilliseconds } from '../lock/duration.js';
import type { AcquireOptions } from '../lock/lock.js';
import { checkOptionNames } from '../lock/option-names.js';
import { assemble, OPTIONS, UNDER_TEST } from '../nest/distributed-lock.module.js';
import type { LocksUnderTest } from '../nest/lock-engines.js';

/** Options of `LockTestingModule`. Those of a lock win over what the methods under test say. */
export interface LockTestingOptions extends Omit<AcquireOptions, 'signal' | 'mode' | 'limit'> {
  /** Where the locks live. Several applications that share one `memory()` race each other as pods do. @default a new `memory()` */
  readonly backend?: LockBackend;
  /** How long closing the application waits for locks that the test left held. @default 0 */
  readonly shutdownGrace?: Duration;
}

/** A `TestingModuleBuilder`; its package is not one that this package needs. */
interface Builder<Self> {
  overrideProvider(token: symbol): { useValue(value: unknown): Self };
}

/**
 * Locks for tests: in memory, so that no server is needed, and with options that win over what the methods say. With `wait: 0` a busy
 * key fails at once, whatever `wait` its method has; leaders wait for their turn all the same.
 */
@Module({})
export class LockTestingModule {
  /**
   * For a test of some classes.
   *
   *     Test.createTestingModule({ imports: [LockTestingModule.forRoot({ wait: 0 })], providers: [OrdersService] })
   *
   * @param options `names` are those that `@Locked(key, { backend })` and `@InjectLockService(name)` of the classes use
   */
  static forRoot({ names = [], ...options }: LockTestingOptions & { names?: readonly string[] } = {}): DynamicModule {
    const all = ['default', ...names.filter((name) => name !== 'default')];
    return assemble({
      module: LockTestingModule,
      isGlobal: true,
      options: { provide: OPTIONS, useValue: { backends: Object.fromEntries(all.map((name) => [name, memory()])) } },
      names: all,
      hasDefault: true,
      testing: underTest(options),
    });
  }

  /**
   * For a test of a whole application: every backend of its `DistributedLockModule` is in memory, and no server is contacted.
   *
   *     LockTestingModule.override(Test.createTestingModule({ imports: [AppModule] }), { wait: 0 }).compile()
   *
   * @returns the builder that was given
   */
  static override<Self extends Builder<Self>>(builder: Self, options: LockTestingOptions = {}): Self {
    return builder.overrideProvider(UNDER_TEST).useValue(underTest(options));
  }
}

const OVERRIDES: ReadonlySet<string> = new Set(['wait', 'ttl', 'renew', 'maxHold', 'minHold', 'fair']);

function underTest({ backend, shutdownGrace = 0, ...overrides }: LockTestingOptions): LocksUnderTest {
  checkOptionNames('LockTestingModule', overrides, OVERRIDES);
  return { backend, shutdownGraceMs: toMilliseconds('shutdownGrace', shutdownGrace), overrides };
}
