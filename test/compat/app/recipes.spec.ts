/** Run by Jest and by Vitest, both with their globals: what users' tests do with locks, with and without fake timers. */
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  currentLock,
  DistributedLockModule,
  getLockBackendToken,
  Leader,
  type Lock,
  Locked,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { bypassLocks, LockTestingModule } from 'nestjs-distributed-lock/testing';

interface Timers {
  useFakeTimers(): unknown;
  useRealTimers(): unknown;
  advanceTimersByTimeAsync(ms: number): Promise<unknown>;
}

declare function it(name: string, body: () => Promise<void>): void;
declare function expect(actual: unknown): { toEqual(expected: unknown): void };
declare const vi: Timers | undefined;

async function timers(): Promise<Timers> {
  return typeof vi === 'undefined' ? ((await import('@jest/globals')) as { jest: Timers }).jest : vi;
}

@Injectable()
class Orders {
  leads = false;

  @Locked('order:<id>', { wait: '5s' })
  async place(id: string): Promise<boolean | undefined> {
    return currentLock()?.held && id === '7';
  }

  @Locked('order:<id>')
  async slow(id: string): Promise<boolean | undefined> {
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return currentLock()?.held && id === '7';
  }

  @Leader('outbox')
  async lead(): Promise<void> {
    this.leads = true;
  }
}

@Module({
  imports: [DistributedLockModule.forRoot({ backend: redis({ url: 'redis://127.0.0.1:1' }) })],
  providers: [Orders],
})
class AppModule {}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  );

it('a unit test makes the class itself', async () => {
  const lockAgain = bypassLocks();
  expect(await new Orders().place('7')).toEqual(true);
  const fake = await timers();
  fake.useFakeTimers();
  const slow = new Orders().slow('7');
  await fake.advanceTimersByTimeAsync(60_000);
  fake.useRealTimers();
  expect(await slow).toEqual(true);
  lockAgain();
  expect(await codeOf(new Orders().place('7'))).toEqual('LOCK_CONFIG');
});

it('an integration test locks in memory, and does not wait', async () => {
  const module = await Test.createTestingModule({
    imports: [LockTestingModule.forRoot({ wait: 0 })],
    providers: [Orders],
  }).compile();
  await module.init();
  const lock: Lock = await module.get(LockService).acquire('order:7');
  expect(await codeOf(module.get(Orders).place('7'))).toEqual('LOCK_TIMEOUT');
  await lock.release();
  expect(await module.get(Orders).place('7')).toEqual(true);
  await module.close();
});

it('and under fake timers it waits as long as these say', async () => {
  const module = await Test.createTestingModule({
    imports: [LockTestingModule.forRoot()],
    providers: [Orders],
  }).compile();
  await module.init();
  const fake = await timers();
  fake.useFakeTimers();
  await module.get(LockService).acquire('order:7');
  const busy = codeOf(module.get(Orders).place('7'));
  await fake.advanceTimersByTimeAsync(5_001);
  expect(await busy).toEqual('LOCK_TIMEOUT');
  await module.close();
  fake.useRealTimers();
});

it('an end-to-end test needs no server', async () => {
  const overridden = Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(getLockBackendToken())
    .useValue(memory());
  for (const builder of [overridden, LockTestingModule.override(Test.createTestingModule({ imports: [AppModule] }))]) {
    const module = await builder.compile();
    await module.init();
    expect(await module.get(Orders).place('7')).toEqual(true);
    await module.close();
  }
});
