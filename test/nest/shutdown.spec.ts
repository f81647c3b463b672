import { Controller, Get, Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DistributedLockModule,
  type LockBackend,
  Locked,
  LockClosedError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, test, vi } from 'vitest';
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
});
