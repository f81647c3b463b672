import { Injectable } from '@nestjs/common';
import {
  type BusyInfo,
  Locked,
  LockBackendError,
  LockConfigurationError,
  LockService,
  LockTimeoutError,
  memory,
} from 'nestjs-distributed-lock';
import { DistributedLockModule, type LockBackend } from 'nestjs-distributed-lock';
import { expect, test } from 'vitest';
import { applicationWith, nextEvent } from './support/application.js';

const seen: BusyInfo[] = [];

@Injectable()
class Orders {
  readonly ran: string[] = [];

  @Locked('order:<id>', { wait: 0 })
  async fail(id: string) {
    this.ran.push(id);
    return 'ran';
  }

  @Locked('order:<id>', { onBusy: 'skip' })
  async skip(id: string): Promise<string | undefined> {
    this.ran.push(id);
    return 'ran';
  }

  @Locked('order:<id>', { onBusy: 'skip', wait: '1m' })
  async waitThenSkip(id: string): Promise<string | undefined> {
    this.ran.push(id);
    return 'ran';
  }

  @Locked(['order:<id>', 'all'], { wait: 1, onBusy: (info) => (seen.push(info), 'busy') })
  async value(id: string) {
    this.ran.push(id);
    return 'ran';
  }

  @Locked('order:<id>', { wait: 0, onBusy: async ({ key }) => Promise.resolve(`later: ${key}`) })
  async laterValue(id: string) {
    this.ran.push(id);
    return 'ran';
  }

  @Locked('order:<order.id>', {
    wait: 0,
    onBusy(this: Orders, { key }, order: { id: string }, ...more: string[]) {
      return [this.ran.length, key, order, more] as const;
    },
  })
  async withArguments(order: { id: string }, ...more: string[]): Promise<readonly unknown[]> {
    return [order, more];
  }

  @Locked('order:<id>', {
    wait: 0,
    onBusy: ({ method }) => {
      throw new RangeError(`${method} is busy`);
    },
  })
  async otherError(id: string) {
    this.ran.push(id);
  }

  @Locked('mine', { onBusy: 'skip' })
  async outer(id: string): Promise<string | undefined> {
    return this.fail(id);
  }
}

async function busyOrders() {
  const application = await applicationWith({ providers: [Orders] });
  const lock = await application.get(LockService).acquire('order:7');
  return { application, lock, orders: application.get(Orders) };
}

test("'throw' is the default", async () => {
  const { orders } = await busyOrders();
  await expect(orders.fail('7')).rejects.toThrow(LockTimeoutError);
  expect(orders.ran).toEqual([]);
});

test("'skip' gives undefined, at once, and the method does not run", async () => {
  const { application, orders } = await busyOrders();
  const events: string[] = [];
  application.get(LockService).events$.subscribe(({ type }) => events.push(type));
  expect(await orders.skip('7')).toBeUndefined();
  expect(orders.ran).toEqual([]);
  expect(events).toEqual(['skipped']);
  expect(await orders.skip('8')).toBe('ran');
});

test("'skip' does not wait even where the module's default says so", async () => {
  const { get } = await applicationWith({
    imports: [DistributedLockModule.forRoot({ backend: memory(), defaults: { wait: '1m' }, shutdownGrace: 0 })],
    providers: [Orders],
  });
  await get(LockService).acquire('order:7');
  expect(await get(Orders).skip('7')).toBeUndefined();
});

test("'skip' waits where a wait stands beside it", async () => {
  const { application, lock, orders } = await busyOrders();
  const waiting = nextEvent(application, 'waiting');
  const call = orders.waitThenSkip('7');
  await waiting;
  await lock.release();
  expect(await call).toBe('ran');
});

test('a function is told what is known of the busy key, and gives the value', async () => {
  const { lock, orders } = await busyOrders();
  expect(await orders.value('7')).toBe('busy');
  expect(seen).toEqual([
    {
      key: 'order:7 + all',
      keys: ['order:7', 'all'],
      backend: 'default',
      holder: lock.owner,
      waitedMs: expect.any(Number),
      method: 'Orders.value',
    },
  ]);
  expect(await orders.laterValue('7')).toBe('later: order:7');
  await expect(orders.otherError('7')).rejects.toThrow(new RangeError('Orders.otherError is busy'));
  expect(orders.ran).toEqual([]);
});

test('a function has the object and the arguments of the call', async () => {
  const { orders } = await busyOrders();
  expect(await orders.withArguments({ id: '7' }, 'a', 'b')).toEqual([0, 'order:7', { id: '7' }, ['a', 'b']]);
});

test('a busy key inside the method is the error of the method', async () => {
  const { orders } = await busyOrders();
  await expect(orders.outer('7')).rejects.toThrow(LockTimeoutError);
});

test('a lock server that does not answer is an error, whatever onBusy says', async () => {
  const dead: LockBackend = {
    ...memory(),
    attempt: () => Promise.reject(new Error('connection refused')),
  };
  const { get } = await applicationWith({
    imports: [DistributedLockModule.forRoot({ backend: dead, checkAtBoot: false, shutdownGrace: 0 })],
    providers: [Orders],
  });
  await expect(get(Orders).skip('7')).rejects.toThrow(LockBackendError);
  expect(get(Orders).ran).toEqual([]);
});

test('anything else is refused when the class is defined', () => {
  const define = () => {
    class Wrong {
      @Locked('k', { onBusy: 'ignore' as 'throw' })
      async run() {}
    }
    return Wrong;
  };
  expect(define).toThrow(LockConfigurationError);
  expect(define).toThrow("Wrong.run: `onBusy` is \"ignore\"; it is 'throw', 'skip' or a function");
});
