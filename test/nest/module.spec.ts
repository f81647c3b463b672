import { Inject, Injectable, Module } from '@nestjs/common';
import {
  currentLock,
  DistributedLockModule,
  type DistributedLockOptionsFactory,
  getLockServiceToken,
  InjectLockService,
  type LockBackend,
  Locked,
  LockConfigurationError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { applicationWith } from './support/application.js';

afterEach(() => vi.unstubAllEnvs());

const booting = (...imports: ReturnType<typeof DistributedLockModule.forRoot>[]) => applicationWith({ imports });

describe('forRoot', () => {
  test('provides LockService to every module of the application', async () => {
    @Injectable()
    class Orders {
      constructor(
        readonly locks: LockService,
        @InjectLockService() readonly same: LockService,
      ) {}
    }
    @Module({ providers: [Orders] })
    class ShopModule {}
    const { get } = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory() }), ShopModule],
    });
    expect(get(Orders).locks).toBeInstanceOf(LockService);
    expect(get(Orders).same).toBe(get(Orders).locks);
    expect(await get(Orders).locks.withLock('k', (lock) => lock.key)).toBe('k');
  });

  test('provides it only where it is imported with `isGlobal: false`', async () => {
    @Injectable()
    class Orders {
      constructor(readonly locks: LockService) {}
    }
    const locks = DistributedLockModule.forRoot({ backend: memory(), isGlobal: false });
    @Module({ providers: [Orders] })
    class Without {}
    @Module({ imports: [locks], providers: [Orders] })
    class With {}
    await expect(applicationWith({ imports: [locks, Without] })).rejects.toThrow(
      "Nest can't resolve dependencies of the Orders",
    );
    const { get } = await applicationWith({ imports: [locks, With] });
    expect(get(Orders).locks).toBe(get(LockService));
  });

  test('puts the prefix before every key on the server, and nowhere else', async () => {
    const backend = memory();
    const { get } = await booting(DistributedLockModule.forRoot({ backend, prefix: 'shop:', shutdownGrace: 0 }));
    const lock = await get(LockService).acquire('order:7');
    expect((await backend.inspect('shop:order:7')).holders).toHaveLength(1);
    expect([lock.key, (await get(LockService).inspect('order:7')).key]).toEqual(['order:7', 'order:7']);
  });

  test('fills in its defaults where a lock says nothing', async () => {
    const { get } = await booting(
      DistributedLockModule.forRoot({ backend: memory(), defaults: { wait: 0, ttl: '1m' }, shutdownGrace: 0 }),
    );
    const lock = await get(LockService).acquire('k');
    expect(lock.remainingMs).toBeGreaterThan(50_000);
    await expect(get(LockService).acquire('k')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  });

  test('refuses defaults that the backend cannot do, at boot', async () => {
    const boot = booting(DistributedLockModule.forRoot({ backend: memory(), defaults: { ttl: 1 } }));
    await expect(boot).rejects.toThrow(LockConfigurationError);
    await expect(boot).rejects.toThrow('`ttl` is 1 ms');
  });

  test('refuses what is no backend, at boot', async () => {
    const redisClient = { get: async () => null } as unknown as LockBackend;
    await expect(booting(DistributedLockModule.forRoot({ backend: redisClient }))).rejects.toThrow(
      'The lock backend "default" is not one: an instance of Object. Give what a backend\'s function makes, such as `redis({ client })`.',
    );
    await expect(booting(DistributedLockModule.forRoot({ backend: undefined as never }))).rejects.toThrow(
      '`backend` of DistributedLockModule is undefined.',
    );
    await expect(
      booting(DistributedLockModule.forRoot({ backend: memory(), backends: { a: memory() } } as never)),
    ).rejects.toThrow('takes `backend` or `backends`, not both');
  });

  test.each<[string, unknown, string]>([
    ['an address', 'redis://user:secret@host', 'The lock backend "default" is not one: a string. Give'],
    ['the function that makes one', memory, 'The lock backend "default" is not one: a function. Give'],
  ])('refuses %s for a backend, and does not print it', async (_what, backend, message) => {
    await expect(booting(DistributedLockModule.forRoot({ backend: backend as LockBackend }))).rejects.toThrow(message);
  });

  test.each<[string, object, string]>([
    [
      '`backend`',
      { backnd: memory() },
      '`backnd` is not an option of DistributedLockModule. Known: `backend`, `backends`,',
    ],
    ['another option', { backend: memory(), prefx: 'shop:' }, '`prefx` is not an option of DistributedLockModule.'],
    ['one of the defaults', { backend: memory(), defaults: { waitt: 0 } }, '`waitt` is not an option of `defaults`.'],
    ['all of it: a backend without a name', memory(), 'is not an option of DistributedLockModule.'],
  ])('refuses a slip of the pen in %s', async (_what, options, message) => {
    for (const module of [
      DistributedLockModule.forRoot(options),
      DistributedLockModule.forRootAsync({ useFactory: () => options }),
    ]) {
      const boot = booting(module);
      await expect(boot).rejects.toThrow(LockConfigurationError);
      await expect(boot).rejects.toThrow(message);
    }
  });
});

describe('without a backend', () => {
  test('locks live in memory, and the log says so once', async () => {
    const { get, logger } = await booting(DistributedLockModule.forRoot());
    expect(await get(LockService).withLock('k', () => 'ran')).toBe('ran');
    const told = logger.texts('log').filter((text) => text.includes('locks live in memory and end at this process'));
    expect(told).toHaveLength(1);
  });

  test.each([
    ['forRoot', () => DistributedLockModule.forRoot()],
    ['forRootAsync', () => DistributedLockModule.forRootAsync({ useFactory: () => ({}) })],
  ])('%s is refused in production', async (_how, module) => {
    vi.stubEnv('NODE_ENV', 'production');
    const boot = booting(module());
    await expect(boot).rejects.toThrow(LockConfigurationError);
    await expect(boot).rejects.toThrow(/refused with NODE_ENV=production.*or `memory\(\)` by name/);
  });

  test('but memory() by name is allowed in production, and says nothing', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const { get, logger } = await booting(DistributedLockModule.forRoot({ backend: memory() }));
    expect(await get(LockService).withLock('k', () => 'ran')).toBe('ran');
    expect(logger.texts('log').join()).not.toContain('live in memory');
  });
});

describe('several backends', () => {
  @Injectable()
  class Orders {
    constructor(
      readonly locks: LockService,
      @InjectLockService('audit') readonly audit: LockService,
      @Inject(getLockServiceToken('orders')) readonly orders: LockService,
    ) {}

    @Locked('k')
    async byDefault() {
      return currentLock()?.owner;
    }
    @Locked('k', { backend: 'orders' })
    async inOrders() {
      return currentLock()?.owner;
    }
    @Locked('k', { backend: 'audit' })
    async inAudit() {
      return currentLock()?.owner;
    }
  }

  const start = () =>
    applicationWith({
      imports: [
        DistributedLockModule.forRoot({
          backends: { orders: memory(), audit: memory() },
          default: 'orders',
          shutdownGrace: 0,
        }),
      ],
      providers: [Orders],
    });

  test('have a LockService each, and the class stands for the default one', async () => {
    const { get } = await start();
    const { locks, orders, audit } = get(Orders);
    expect([locks.backend, orders.backend, audit.backend]).toEqual(['orders', 'orders', 'audit']);
    expect(locks).toBe(orders);
    expect(get(getLockServiceToken('audit') as string)).toBe(audit);
    expect(getLockServiceToken()).toBe(LockService);
  });

  test('have nothing to do with each other', async () => {
    const { get } = await start();
    const orders = get(Orders);
    await orders.orders.acquire('k');
    expect(await orders.audit.tryAcquire('k', {})).not.toBeNull();
  });

  test('are chosen by name in @Locked', async () => {
    const { get } = await start();
    const orders = get(Orders);
    const held = await orders.audit.acquire('k');
    expect(await orders.byDefault()).toBeDefined();
    expect(await orders.inOrders()).toBeDefined();
    const call = orders.inAudit();
    await held.release();
    expect(await call).toBeDefined();
  });

  test('may come from two forRoot with different names', async () => {
    const { get } = await applicationWith({
      imports: [
        DistributedLockModule.forRoot({ backends: { orders: memory() } }),
        DistributedLockModule.forRootAsync({
          names: ['audit'],
          default: false,
          useFactory: () => ({ backends: { audit: memory() } }),
        }),
      ],
      providers: [Orders],
    });
    expect(get(LockService).backend).toBe('orders');
    expect(await get(Orders).inAudit()).toBeDefined();
  });

  test.each<[string, () => Parameters<typeof booting>, string]>([
    [
      'an unknown default',
      () => [DistributedLockModule.forRoot({ backends: { a: memory(), b: memory() }, default: 'c' as 'a' })],
      '`default` of DistributedLockModule is "c", but its backends are "a", "b".',
    ],
    [
      'no default among several',
      () => [DistributedLockModule.forRoot({ backends: { a: memory(), b: memory() } })],
      "say which of them is the default, such as `default: 'a'`",
    ],
    [
      'no backends at all',
      () => [DistributedLockModule.forRoot({ backends: {} })],
      '`backends` of DistributedLockModule is empty',
    ],
    [
      'one called "default" that is not',
      () => [DistributedLockModule.forRoot({ backends: { default: memory(), b: memory() }, default: 'b' })],
      'A backend named "default" is the default backend.',
    ],
    [
      'two defaults in two forRoot',
      () => [
        DistributedLockModule.forRoot({ backend: memory() }),
        DistributedLockModule.forRoot({ backends: { a: memory() } }),
      ],
      'Two DistributedLockModule.forRoot() of this application define the default backend.',
    ],
    [
      'one name in two forRoot',
      () => [
        DistributedLockModule.forRoot({ backends: { a: memory() } }),
        DistributedLockModule.forRoot({ backends: { a: memory() }, default: false }),
      ],
      'Two DistributedLockModule.forRoot() of this application define a backend named "a".',
    ],
    [
      'one name twice in forRootAsync',
      () => [
        DistributedLockModule.forRootAsync({ names: ['a', 'a'], useFactory: () => ({ backends: { a: memory() } }) }),
      ],
      '`names` of DistributedLockModule has "a" twice.',
    ],
    [
      'names that the factory does not give',
      () => [
        DistributedLockModule.forRootAsync({
          names: ['a', 'b'],
          useFactory: () => ({ backends: { a: memory(), c: memory() }, default: 'a' }),
        }),
      ],
      'was promised the backends "a", "b" by `names`, but its factory gave "a", "c"',
    ],
    [
      'names forgotten',
      () => [DistributedLockModule.forRootAsync({ useFactory: () => ({ backends: { a: memory() } }) })],
      'was promised the backends "default" by `names`, but its factory gave "a"',
    ],
  ])('with %s are refused at boot', async (_what, imports, message) => {
    const boot = booting(...imports());
    await expect(boot).rejects.toThrow(LockConfigurationError);
    await expect(boot).rejects.toThrow(message);
  });
});

describe('forRootAsync', () => {
  @Injectable()
  class Config {
    readonly prefix = 'shop:';
  }
  @Module({ providers: [Config], exports: [Config] })
  class ConfigModule {}

  @Injectable()
  class LockOptions implements DistributedLockOptionsFactory {
    constructor(readonly config: Config) {}
    async createDistributedLockOptions() {
      return { backend: memory(), prefix: this.config.prefix, shutdownGrace: 0 };
    }
  }
  @Module({ imports: [ConfigModule], providers: [LockOptions], exports: [LockOptions] })
  class LockOptionsModule {}

  test.each([
    [
      'useFactory',
      () =>
        DistributedLockModule.forRootAsync({
          imports: [ConfigModule],
          inject: [Config],
          useFactory: async ({ prefix }: Config) => ({ backend: memory(), prefix, shutdownGrace: 0 }),
        }),
    ],
    ['useClass', () => DistributedLockModule.forRootAsync({ imports: [ConfigModule], useClass: LockOptions })],
    [
      'useExisting',
      () => DistributedLockModule.forRootAsync({ imports: [LockOptionsModule], useExisting: LockOptions }),
    ],
  ])('takes its options from %s', async (_how, module) => {
    const { get } = await booting(module());
    expect(await get(LockService).withLock('k', (lock) => lock.key)).toBe('k');
    expect(get(LockService).backend).toBe('default');
  });

  test('takes several backends by `names`', async () => {
    const { get } = await booting(
      DistributedLockModule.forRootAsync({
        names: ['orders', 'audit'],
        useFactory: () => ({ backends: { orders: memory(), audit: memory() }, default: 'audit' }),
      }),
    );
    expect(get(LockService)).toBe(get(getLockServiceToken('audit') as string));
    expect(get<LockService>(getLockServiceToken('orders') as string).backend).toBe('orders');
  });

  test('is not global with `isGlobal: false`', async () => {
    @Injectable()
    class Orders {
      constructor(readonly locks: LockService) {}
    }
    @Module({ providers: [Orders] })
    class Without {}
    const locks = DistributedLockModule.forRootAsync({ isGlobal: false, useFactory: () => ({ backend: memory() }) });
    await expect(applicationWith({ imports: [locks, Without] })).rejects.toThrow(
      "Nest can't resolve dependencies of the Orders",
    );
  });

  test('refuses a factory that gives nothing, and none at all', async () => {
    const forgotten = (() => undefined) as unknown as () => { backend: LockBackend };
    await expect(booting(DistributedLockModule.forRootAsync({ useFactory: forgotten }))).rejects.toThrow(
      'The options of DistributedLockModule are an object; this is undefined.',
    );
    expect(() => DistributedLockModule.forRootAsync({} as never)).toThrow(
      'forRootAsync() needs one of `useFactory`, `useClass` and `useExisting`.',
    );
  });

  test('lets the error of its factory out', async () => {
    const boot = booting(
      DistributedLockModule.forRootAsync({ useFactory: () => Promise.reject(new Error('REDIS_URL is not set')) }),
    );
    await expect(boot).rejects.toThrow('REDIS_URL is not set');
  });
});
