import { Controller, Get, Global, Injectable, Logger, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  currentLock,
  DistributedLockModule,
  type LockBackend,
  Locked,
  LockClosedError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { KeyBackend } from '../../lib/backends/backend.js';
import { watchForSigterm } from '../../lib/nest/sigterm.js';
import { applicationWith, nextEvent, serverWith } from './support/application.js';
import { Gate } from './support/gate.js';

const locksWith = (shutdownGrace: number, backend: LockBackend = memory()) =>
  DistributedLockModule.forRoot({ backend, shutdownGrace });

describe('when the application shuts down', () => {
  test('waiters end with LockClosedError', async () => {
    const { close, get } = await applicationWith({ imports: [locksWith(0)] });
    const locks = get(LockService);
    await locks.acquire('k');
    const waiting = nextEvent({ get }, 'waiting');
    const waiter = locks.acquire('k');
    await waiting;
    const closing = close();
    await expect(waiter).rejects.toThrow(LockClosedError);
    await closing;
  });

  test('a method that runs may finish and keeps its lock so long, and then the shutdown goes on', async () => {
    const gate = new Gate();
    const order: string[] = [];
    @Injectable()
    class Orders {
      @Locked('k')
      async place() {
        await gate.passed;
        order.push('finished');
      }
      beforeApplicationShutdown() {
        order.push('before');
      }
    }
    const backend = memory();
    const { close, get } = await applicationWith({ imports: [locksWith(60_000, backend)], providers: [Orders] });
    const acquired = nextEvent({ get }, 'acquired');
    const placed = get(Orders).place();
    await acquired;
    const closing = close().then(() => order.push('closed'));
    await vi.waitUntil(() => order.includes('before'));
    expect((await backend.inspect('lock:k')).holders).toHaveLength(1);
    gate.open();
    await Promise.all([placed, closing]);
    expect(order).toEqual(['before', 'finished', 'closed']);
    expect((await backend.inspect('lock:k')).holders).toEqual([]);
  });

  test('what is still held after the grace is released', async () => {
    const backend = memory();
    const { close, get } = await applicationWith({ imports: [locksWith(1, backend)] });
    const lock = await get(LockService).acquire('k');
    await close();
    expect(lock.held).toBe(false);
    expect((await backend.inspect('lock:k')).holders).toEqual([]);
  });

  test('requests in flight still get their locks if nobody holds them, and finish', async () => {
    const [begun, gate] = [new Gate(), new Gate()];
    @Injectable()
    class Orders {
      @Locked('order')
      async place() {
        return 'placed';
      }
    }
    @Controller()
    class Shop {
      constructor(private readonly orders: Orders) {}
      @Get()
      async place() {
        begun.open();
        await gate.passed;
        return this.orders.place();
      }
    }
    let drained = () => {};
    const afterDrain = new Promise<void>((resolve) => (drained = resolve));
    @Injectable()
    class Observer {
      beforeApplicationShutdown() {
        // Global modules are the last in every phase of the shutdown, so the locks drain after this.
        setImmediate(drained);
      }
    }
    const { close, url } = await serverWith({
      imports: [locksWith(0)],
      controllers: [Shop],
      providers: [Orders, Observer],
    });
    const response = fetch(url, { headers: { connection: 'close' } });
    await begun.passed;
    const closing = close();
    await afterDrain;
    gate.open();
    expect(await (await response).text()).toBe('placed');
    await closing;
  });

  test('hooks of other providers can still use their locks', async () => {
    const worked: string[] = [];
    @Injectable()
    class Jobs {
      constructor(private readonly locks: LockService) {}
      onModuleDestroy = () => this.#work('destroy');
      beforeApplicationShutdown = () => this.#work('before');
      onApplicationShutdown = () => this.#work('after');
      async #work(when: string) {
        worked.push(await this.locks.withLock('k', () => when));
      }
    }
    const { close } = await applicationWith({ imports: [locksWith(0)], providers: [Jobs] });
    await close();
    expect(worked).toEqual(['destroy', 'before', 'after']);
  });

  test('new calls are refused afterwards', async () => {
    const { close, get } = await applicationWith({ imports: [locksWith(0)] });
    await close();
    await expect(get(LockService).acquire('k')).rejects.toThrow(LockClosedError);
    await expect(get(LockService).tryAcquire('k')).rejects.toThrow(LockClosedError);
  });

  test('every backend is closed once, also when another one fails to', async () => {
    const closeB = vi.fn<() => Promise<void>>(async () => {});
    const failing = vi.fn<() => Promise<void>>(() => Promise.reject(new Error('already closed')));
    const { close, logger } = await applicationWith({
      imports: [
        DistributedLockModule.forRoot({
          backends: { a: { ...memory(), close: failing }, b: { ...memory(), close: closeB } },
          default: 'a',
          shutdownGrace: 0,
        }),
      ],
    });
    await close();
    expect([closeB, failing].map((each) => each.mock.calls.length)).toEqual([1, 1]);
    expect(logger.texts('error')).toEqual([expect.stringContaining('The lock backend "a" did not close cleanly.')]);
  });

  test('a module that was compiled but never started closes too', async () => {
    const module = await Test.createTestingModule({ imports: [locksWith(0)] }).compile();
    await module.close();
    await expect(module.get(LockService).acquire('k')).rejects.toThrow(LockClosedError);
  });

  test('work with `onShutdown: abort` is told before any onModuleDestroy, and ends before what it needs', async () => {
    const order: string[] = [];
    const started = new Gate();
    @Injectable()
    class Database {
      onModuleDestroy() {
        order.push('database closed');
      }
    }
    @Injectable()
    class Jobs {
      constructor(private readonly database: Database) {}
      @Locked('job')
      async run() {
        const signal = currentLock()?.signal;
        const told = new Promise((resolve) => signal?.addEventListener('abort', resolve));
        started.open();
        await told;
        order.push(String(signal?.reason.code), `held ${currentLock()?.held}`, 'checkpoint written');
        return this.database;
      }
    }
    const { close, get, logger } = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: '1m', onShutdown: 'abort' })],
      providers: [Database, Jobs],
    });
    const job = get(Jobs).run();
    await started.passed;
    const released = nextEvent({ get }, 'released');
    await close();
    await job;
    expect(order).toEqual(['LOCK_CLOSED', 'held true', 'checkpoint written', 'database closed']);
    expect(await released).toMatchObject({ reasonCode: 'shutdown' });
    expect(logger.texts('log').join()).toContain(
      `The shutdown waits up to 60 s for one lock on "default": "job" (Jobs.run, held for `,
    );
  });

  test('work that goes on past the grace is named in the log, and told', async () => {
    const started = new Gate();
    @Injectable()
    class Jobs {
      @Locked('job')
      async run() {
        const signal = currentLock()?.signal;
        const told = new Promise((resolve) => signal?.addEventListener('abort', resolve));
        started.open();
        await told;
      }
    }
    const { close, get, logger } = await applicationWith({ imports: [locksWith(5)], providers: [Jobs] });
    const job = get(Jobs).run();
    await started.passed;
    await close();
    await job;
    expect(logger.texts('warn').join()).toContain(
      'The shutdown releases one lock on "default" although the work under it has not ended: "job" (Jobs.run, held for ',
    );
  });
});

test('the boot warns when nobody listens for SIGTERM', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  vi.stubEnv('NODE_ENV', 'production');
  onTestFinished(() => void vi.unstubAllEnvs());
  const warn = vi.fn<(message: string) => void>();
  const listeners = process.listeners('SIGTERM');
  process.removeAllListeners('SIGTERM');
  onTestFinished(() => listeners.forEach((listener) => process.on('SIGTERM', listener)));

  watchForSigterm({ warn })();
  vi.advanceTimersByTime(60_000);
  expect(warn).not.toHaveBeenCalled();
  watchForSigterm({ warn });
  vi.advanceTimersByTime(60_000);
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('Call app.enableShutdownHooks() in main.ts.'));

  const hook = () => undefined;
  process.on('SIGTERM', hook);
  watchForSigterm({ warn });
  vi.advanceTimersByTime(60_000);
  process.off('SIGTERM', hook);
  expect(warn).toHaveBeenCalledOnce();
});

test('a client of a global module that is imported before the locks closes after them', async () => {
  const order: string[] = [];
  @Injectable()
  class Client {
    readonly backend = memory();
    onApplicationShutdown() {
      order.push('client');
    }
  }
  @Global()
  @Module({ providers: [Client], exports: [Client] })
  class ClientModule {}
  @Injectable()
  class Others {
    letGo: () => unknown = () => undefined;
    onApplicationShutdown() {
      // Not awaited: the lock ends while the hooks run.
      setTimeout(this.letGo, 20);
    }
  }

  const { close, get } = await applicationWith({
    imports: [
      ClientModule,
      DistributedLockModule.forRootAsync({
        inject: [Client],
        useFactory: ({ backend }: Client) => ({ backend, shutdownGrace: '1m' }),
      }),
    ],
    providers: [Others],
  });
  const lock = await get(LockService).acquire('k');
  void nextEvent({ get }, 'released').then(() => order.push('lock'));
  get(Others).letGo = () => lock.release();
  await close();
  expect(order).toEqual(['lock', 'client']);
});

test('a client that was closed before the locks is told in one line, with the keys that stay behind', async () => {
  const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  onTestFinished(() => warn.mockRestore());
  const backend = memory() as KeyBackend;
  let isClosed = false;
  const release: KeyBackend['release'] = (...call) =>
    isClosed ? Promise.reject(new Error('the client is closed')) : backend.release(...call);
  const { close, get } = await applicationWith({ imports: [locksWith(0, { ...backend, release })] });
  await get(LockService).acquire('job');
  isClosed = true;
  await close();
  const lines = warn.mock.calls.map(([line]) => String(line)).filter((line) => line.includes('stays on'));
  expect(lines).toEqual([
    '1 lock stays on "default" until the lease ends, because the release was not confirmed: "job". The reason: the client is closed.',
  ]);
});
