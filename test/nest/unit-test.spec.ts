import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DistributedLockModule,
  InjectLockService,
  type Lock,
  Locked,
  LockConfigurationError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { lastValueFrom, Observable, of } from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import { applicationWith } from './support/application.js';

@Injectable()
class Orders {
  @Locked('order:<id>')
  async place(id: string) {
    return `placed ${id}`;
  }

  @Locked('order:<id>')
  watch(id: string): Observable<string> {
    return of(`watched ${id}`);
  }

  @Locked('order:<id>')
  async *read(id: string) {
    yield `read ${id}`;
  }
}

describe('in a unit test of a class with locked methods', () => {
  test('no lock module is needed to make it, and its calls say what they miss', async () => {
    const module = await Test.createTestingModule({ providers: [Orders] }).compile();
    const call = module.get(Orders).place('7');
    await expect(call).rejects.toThrow(LockConfigurationError);
    await expect(call).rejects.toThrow(
      'Orders.place cannot be locked and did not run: this application has no lock module. Import DistributedLockModule.forRoot({ backend }) ' +
        'in its root module; in a unit test, DistributedLockModule.forRoot({ backend: memory() }).',
    );
    await module.close();
  });

  test('memory() locks for real', async () => {
    const { get } = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory(), defaults: { wait: 0 }, shutdownGrace: 0 })],
      providers: [Orders],
    });
    await get(LockService).acquire('order:7');
    await expect(get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(await get(Orders).place('8')).toBe('placed 8');
  });

  test('a LockService of its own stands in for all kinds of methods', async () => {
    const signal = new AbortController().signal;
    const withLock = vi.fn<(key: string, work: (lock: Lock) => unknown) => Promise<unknown>>(async (_key, work) =>
      work({ signal } as Lock),
    );
    const { get } = await applicationWith({ providers: [Orders] }, (builder) =>
      builder.overrideProvider(LockService).useValue({ withLock }),
    );
    expect(await get(Orders).place('7')).toBe('placed 7');
    expect(await lastValueFrom(get(Orders).watch('7'))).toBe('watched 7');
    expect(await get(Orders).read('7').next()).toEqual({ done: false, value: 'read 7' });
    expect(withLock.mock.calls.map(([key]) => key)).toEqual(['order:7', 'order:7', 'order:7']);
  });

  test('an injected LockService can be replaced like any provider', async () => {
    @Injectable()
    class Shop {
      constructor(
        private readonly locks: LockService,
        @InjectLockService() private readonly same: LockService,
      ) {}
      async open() {
        return [await this.locks.tryAcquire('shop'), this.same === this.locks];
      }
    }
    const module = await Test.createTestingModule({
      providers: [Shop, { provide: LockService, useValue: { tryAcquire: async () => null } }],
    }).compile();
    expect(await module.get(Shop).open()).toEqual([null, true]);
    await module.close();
  });
});
