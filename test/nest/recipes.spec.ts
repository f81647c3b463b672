import {
  Controller,
  Get,
  Injectable,
  type LoggerService,
  Module,
  type ModuleMetadata,
  Param,
  UseInterceptors,
} from '@nestjs/common';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import {
  currentLock,
  DistributedLockModule,
  getLockBackendToken,
  InjectLockService,
  Leader,
  type Leadership,
  Locked,
  LockConfigurationError,
  LockInterceptor,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { redis } from 'nestjs-distributed-lock/redis';
import { bypassLocks, LockTestingModule } from 'nestjs-distributed-lock/testing';
import { lastValueFrom, Observable, of } from 'rxjs';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Gate } from './support/gate.js';

@Injectable()
class Orders {
  readonly led: unknown[] = [];
  readonly elected = new Gate();

  @Locked('order:<id>', { wait: '5s' })
  async place(id: string) {
    return { id, key: currentLock()?.key, held: currentLock()?.held, mode: currentLock()?.mode };
  }

  @Locked('order:<id>', { mode: 'shared' })
  watch(id: string): Observable<string | undefined> {
    return of(`${id} ${currentLock()?.mode}`);
  }

  @Locked('order:<id>')
  async *read(id: string) {
    yield id;
    yield currentLock()?.held;
  }

  @Locked('order:<id>', { maxHold: '1m' })
  async slow(id: string) {
    const signal = currentLock()?.signal;
    await new Promise((resolve) => setTimeout(resolve, 3_600_000));
    return `${id} ${signal?.aborted}`;
  }

  @Locked('order:<id>')
  async outer(id: string) {
    return [await this.place(id), currentLock()?.key];
  }

  @Leader('outbox')
  async publish({ name }: Leadership) {
    this.led.push(name);
    this.elected.open();
  }
}

/** Nobody listens there. */
const NOWHERE = redis({ url: 'redis://127.0.0.1:1' });

@Module({ imports: [DistributedLockModule.forRoot({ backend: NOWHERE, shutdownGrace: 0 })], providers: [Orders] })
class AppModule {}

@Injectable()
class Payments {
  constructor(
    @InjectLockService('money') readonly money: LockService,
    readonly locks: LockService,
  ) {}

  @Locked('payment:<id>', { backend: 'money' })
  async pay(id: string) {
    return id;
  }
}

@Module({
  imports: [
    DistributedLockModule.forRoot({
      backends: { fast: NOWHERE, money: etcd({ hosts: '127.0.0.1:1' }) },
      default: 'fast',
      shutdownGrace: 0,
    }),
  ],
  providers: [Payments],
})
class BankModule {}

const nothing = () => undefined;
const SILENT: LoggerService = { log: nothing, error: nothing, warn: nothing };

/** Started, and closed after the test. */
async function applicationWith(
  parts: ModuleMetadata,
  change: (builder: TestingModuleBuilder) => TestingModuleBuilder = (builder) => builder,
) {
  const module = await change(Test.createTestingModule(parts)).setLogger(SILENT).compile();
  await module.init();
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= module.close());
  onTestFinished(close);
  return {
    get: <T>(type: abstract new (...args: never[]) => T): T => module.get(type, { strict: false }),
    close,
  };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('an application whose backend is overridden contacts no server', () => {
  test('the default one', async () => {
    const { get } = await applicationWith({ imports: [AppModule] }, (builder) =>
      builder.overrideProvider(getLockBackendToken()).useValue(memory()),
    );
    expect(await get(Orders).place('7')).toMatchObject({ key: 'order:7', held: true });
    await get(Orders).elected.passed;
  });

  test('by its name or as the default one, and others', async () => {
    for (const token of [getLockBackendToken(), getLockBackendToken('fast')]) {
      const own = memory();
      const { get, close } = await applicationWith({ imports: [BankModule] }, (builder) =>
        builder
          .overrideProvider(token)
          .useValue(own)
          .overrideProvider(getLockBackendToken('money'))
          .useFactory({ factory: () => memory() }),
      );
      await get(Payments).locks.acquire('k');
      expect((await own.inspect('lock:k')).holders).toHaveLength(1);
      expect(await get(Payments).pay('7')).toBe('7');
      await close();
    }
  });

  test('and what is no backend is refused', async () => {
    const module = Test.createTestingModule({ imports: [BankModule] })
      .overrideProvider(getLockBackendToken('money'))
      .useValue({});
    await expect(module.compile()).rejects.toThrow('The lock backend "money" is not one');
  });
});

describe('LockTestingModule', () => {
  test('locks in memory, with options that win over what the methods say', async () => {
    const { get } = await applicationWith({
      imports: [LockTestingModule.forRoot({ wait: 0 })],
      providers: [Orders],
    });
    await get(LockService).acquire('order:7', { wait: '1m' });
    const begun = performance.now();
    await expect(get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    await expect(get(LockService).acquire('order:7', { wait: '1m' })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(performance.now() - begun).toBeLessThan(4_000);
    // A leader waits its turn all the same.
    await get(Orders).elected.passed;
  });

  test('takes the place of all servers of a whole application', async () => {
    const { get } = await applicationWith({ imports: [BankModule] }, (builder) =>
      LockTestingModule.override(builder, { wait: 0 }),
    );
    await get(Payments).money.acquire('payment:7');
    await expect(get(Payments).pay('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(await get(Payments).locks.tryAcquire('payment:7')).not.toBeNull();
  });

  test('of classes that name their backends', async () => {
    const { get } = await applicationWith({
      imports: [LockTestingModule.forRoot({ names: ['money'] })],
      providers: [Payments],
    });
    await get(Payments).locks.acquire('payment:7');
    expect(await get(Payments).pay('7')).toBe('7');
  });

  test('shows the race of two pods over one backend', async () => {
    const backend = memory();
    const pods = await Promise.all(
      ['a', 'b'].map(() =>
        applicationWith({ imports: [LockTestingModule.forRoot({ backend, wait: 0 })], providers: [Orders] }),
      ),
    );
    await pods[0]?.get(LockService).acquire('order:7');
    await expect(pods[1]?.get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  });

  test('works under fake timers', async () => {
    const { get, close } = await applicationWith({
      imports: [LockTestingModule.forRoot()],
      providers: [Orders],
    });
    await get(Orders).elected.passed;
    vi.useFakeTimers();
    const lock = await get(LockService).acquire('order:7');
    const call = get(Orders).place('7');
    call.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(5_001);
    await expect(call).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    // A lock that the test left held does not hold up the end, whose timers would never come.
    await close();
    expect(lock.held).toBe(false);
  });

  test('knows no other options', () => {
    expect(() => LockTestingModule.forRoot({ timeout: 0 } as object)).toThrow(LockConfigurationError);
  });
});

describe('bypassLocks', () => {
  const bypass = () => onTestFinished(bypassLocks());

  test('lets the methods of any object run, each with a lock of its own', async () => {
    bypass();
    const orders = new Orders();
    const expected = { id: '7', key: 'order:7', held: true, mode: 'exclusive' };
    expect(await Promise.all([orders.place('7'), orders.place('7')])).toEqual([expected, expected]);
    expect(await orders.outer('7')).toEqual([expected, 'order:7']);
    expect(await lastValueFrom(orders.watch('7'))).toBe('7 shared');
    const read: unknown[] = [];
    for await (const each of orders.read('7')) read.push(each);
    expect(read).toEqual(['7', true]);
  });

  test('and its end locks again', async () => {
    const [first, second] = [bypassLocks(), bypassLocks()];
    first();
    first();
    expect(await new Orders().place('7')).toMatchObject({ id: '7' });
    second();
    await expect(new Orders().place('7')).rejects.toThrow(LockConfigurationError);
  });

  test('knows no time', async () => {
    bypass();
    vi.useFakeTimers();
    const slow = new Orders().slow('7');
    await Promise.resolve();
    vi.setSystemTime('2124-02-03');
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(await slow).toBe('7 false');
  });

  test('a module without a lock module will do, and a whole application keeps its locks in memory', async () => {
    bypass();
    const module = await Test.createTestingModule({ providers: [Orders] }).compile();
    expect(await module.get(Orders).place('7')).toMatchObject({ held: true });
    await module.close();

    const { get } = await applicationWith({ imports: [AppModule] });
    await get(Orders).elected.passed;
    expect(get(Orders).led).toEqual(['outbox']);
    const busy = await get(LockService).acquire('order:7');
    expect(await get(Orders).place('7')).toMatchObject({ held: true });
    expect(await get(LockService).tryAcquire('order:7')).toBeNull();
    await busy.release();
  });

  test('does not keep a test with LockTestingModule from its locks', async () => {
    bypass();
    const { get } = await applicationWith({ imports: [LockTestingModule.forRoot({ wait: 0 })], providers: [Orders] });
    await get(LockService).acquire('order:7');
    await expect(get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(await new Orders().place('7')).toMatchObject({ held: true });
  });

  test('holds for LockInterceptor too', async () => {
    bypass();
    @Controller()
    class Shop {
      @Get(':id')
      @UseInterceptors(LockInterceptor('order:<id>'))
      async show(@Param('id') id: string) {
        return { id, key: currentLock()?.key };
      }
    }
    const module = await Test.createTestingModule({ imports: [AppModule], controllers: [Shop] }).compile();
    const app = module.createNestApplication({ logger: false });
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    expect(await (await fetch(`${await app.getUrl()}/7`)).json()).toEqual({ id: '7', key: 'order:7' });
  });
});
