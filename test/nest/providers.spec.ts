import { Controller, forwardRef, Get, Inject, Injectable, Module, type Provider, Scope } from '@nestjs/common';
import { LazyModuleLoader, ModuleRef } from '@nestjs/core';
import {
  currentLock,
  DistributedLockModule,
  Locked,
  LockConfigurationError,
  LockService,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, test } from 'vitest';
import { applicationWith, isHeld, nextEvent, serverWith } from './support/application.js';
import { Workshop } from './support/workshop.js';

class Base {
  readonly workshop = new Workshop();

  @Locked('order:<id>')
  async place(id: string): Promise<string> {
    return this.workshop.work(`${this.constructor.name} ${currentLock()?.key} ${id}`);
  }
}

describe('@Locked works on', () => {
  test('a singleton', async () => {
    @Injectable()
    class Orders extends Base {}
    const { get } = await applicationWith({ providers: [Orders] });
    expect(await get(Orders).place('7')).toBe('Orders order:7 7');
  });

  test('transient providers', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Orders extends Base {}
    @Injectable()
    class First {
      constructor(readonly orders: Orders) {}
    }
    @Injectable()
    class Second {
      constructor(readonly orders: Orders) {}
    }
    const { get } = await applicationWith({ providers: [First, Second, Orders] });
    const [first, second] = [get(First).orders, get(Second).orders];
    expect(first).not.toBe(second);
    expect(await Promise.all([first.place('7'), second.place('7')])).toHaveLength(2);
  });

  test('request-scoped providers and controllers', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Orders extends Base {}
    @Controller()
    class Shop {
      constructor(@Inject(Orders) private readonly orders: Orders) {}
      @Get('provider')
      async provider() {
        return this.orders.place('7');
      }
      @Get('controller')
      @Locked('shop')
      async own() {
        return `own ${currentLock()?.key}`;
      }
    }
    const { url } = await serverWith({ controllers: [Shop], providers: [Orders] });
    const text = async (path: string) => (await fetch(`${url}/${path}`)).text();
    expect(await Promise.all([text('provider'), text('provider')])).toEqual(['Orders order:7 7', 'Orders order:7 7']);
    expect(await text('controller')).toBe('own shop');
  });

  test('inherited methods, in each subclass', async () => {
    @Injectable()
    class Books extends Base {}
    @Injectable()
    class Toys extends Base {
      @Inject(ModuleRef) readonly moduleRef!: ModuleRef;
    }
    const { get } = await applicationWith({ providers: [Books, Toys] });
    expect(await get(Books).place('7')).toBe('Books order:7 7');
    expect(await get(Toys).place('7')).toBe('Toys order:7 7');
    expect(get(Toys).moduleRef).toBeInstanceOf(ModuleRef);
  });

  test('overrides that call the method of their parent', async () => {
    @Injectable()
    class Books extends Base {
      override async place(id: string) {
        return `book: ${await super.place(id)} then ${currentLock()?.key}`;
      }
    }
    const { get } = await applicationWith({ providers: [Books] });
    expect(await get(Books).place('7')).toBe('book: Books order:7 7 then undefined');
  });

  test('overrides that are locked themselves', async () => {
    @Injectable()
    class Books extends Base {
      @Locked('book:<isbn>')
      override async place(isbn: string) {
        return `${currentLock()?.key} ${isbn}`;
      }
    }
    const { get } = await applicationWith({ providers: [Books] });
    expect(await get(Books).place('7')).toBe('book:7 7');
  });

  test('providers that depend on each other in a circle', async () => {
    @Injectable()
    class Orders extends Base {
      constructor(@Inject(forwardRef(() => Customers)) readonly customers: unknown) {
        super();
      }
    }
    @Injectable()
    class Customers extends Base {
      constructor(@Inject(forwardRef(() => Orders)) readonly orders: Orders) {
        super();
      }
    }
    const { get } = await applicationWith({ providers: [Orders, Customers] });
    expect(await get(Customers).orders.place('7')).toBe('Orders order:7 7');
    expect(await (get(Orders).customers as Customers).place('7')).toBe('Customers order:7 7');
  });

  test('classes that a module provides under another token', async () => {
    @Injectable()
    class Orders extends Base {}
    const { get } = await applicationWith({ providers: [{ provide: 'ORDERS', useClass: Orders }] });
    expect(await get<Orders>('ORDERS').place('7')).toBe('Orders order:7 7');
  });

  test.each<[string, { useFactory: () => unknown } | { useValue: object }]>([
    ['useFactory', { useFactory: () => new Base() }],
    ['an async useFactory', { useFactory: async () => new Base() }],
    ['useValue', { useValue: new Base() }],
    ['useValue, frozen', { useValue: Object.freeze(new Base()) }],
  ])('objects from %s, from the first hook on, in one application after the other', async (_how, source) => {
    const provider = { provide: 'ORDERS', ...source } as Provider;
    @Injectable()
    class Early {
      first = '';
      constructor(@Inject('ORDERS') private readonly orders: Base) {}
      async onModuleInit() {
        this.first = await this.orders.place('7');
      }
    }
    for (const id of ['7', '8']) {
      const { get, close, logger } = await applicationWith({ providers: [Early, provider] });
      expect(get(Early).first).toBe('Base order:7 7');
      const orders = get<Base>('ORDERS');
      expect(await orders.place(id)).toBe(`Base order:${id} ${id}`);
      expect(JSON.stringify(orders)).toBe(JSON.stringify({ workshop: orders.workshop }));
      expect(logger.texts('warn')).toEqual([]);
      await close();
      await expect(orders.place(id)).rejects.toThrow(LockConfigurationError);
    }
  });

  test('objects that moduleRef.create makes, and providers of modules that are loaded later', async () => {
    @Injectable()
    class Orders extends Base {}
    @Module({ providers: [Orders] })
    class LateModule {}
    const { get } = await applicationWith({});
    const made = await get(ModuleRef).create(Orders);
    expect(await made.place('7')).toBe('Orders order:7 7');
    const late = await get(LazyModuleLoader).load(() => LateModule);
    expect(await late.get(Orders).place('8')).toBe('Orders order:8 8');
  });

  test('providers of modules that do not import a lock module which is not global', async () => {
    @Injectable()
    class Orders extends Base {}
    @Module({ providers: [Orders] })
    class ShopModule {}
    const { get } = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory(), isGlobal: false }), ShopModule],
    });
    expect(await get(Orders).place('7')).toBe('Orders order:7 7');
  });
});

describe('two applications in one process', () => {
  test('share classes, but no locks', async () => {
    @Injectable()
    class Orders {
      @Locked('order')
      async place() {
        return currentLock()?.owner;
      }
    }
    const [first, second] = [
      await applicationWith({ providers: [Orders] }),
      await applicationWith({ providers: [Orders] }),
    ];
    await first.get(LockService).acquire('order');
    expect(await second.get(Orders).place()).toEqual(expect.any(String));
    expect(await isHeld(first, 'order')).toBe(true);
    expect(await isHeld(second, 'order')).toBe(false);
  });

  test('go on when the other one ends', async () => {
    @Injectable()
    class Orders extends Base {}
    const [first, second] = [
      await applicationWith({ providers: [Orders] }),
      await applicationWith({ providers: [Orders] }),
    ];
    await first.close();
    expect(await second.get(Orders).place('7')).toBe('Orders order:7 7');
    await expect(first.get(Orders).place('7')).rejects.toMatchObject({ code: 'LOCK_CLOSED' });
  });

  test('exclude each other where they share a backend', async () => {
    @Injectable()
    class Orders extends Base {}
    const backend = memory();
    const start = () =>
      applicationWith({ imports: [DistributedLockModule.forRoot({ backend, shutdownGrace: 0 })], providers: [Orders] });
    const [first, second] = [await start(), await start()];
    const lock = await first.get(LockService).acquire('order:7');
    const waiting = nextEvent(second, 'waiting');
    const placed = second.get(Orders).place('7');
    await waiting;
    await lock.release();
    expect(await placed).toBe('Orders order:7 7');
  });
});

describe('@Locked fails closed, and says what to do,', () => {
  const runs: string[] = [];
  @Injectable()
  class Orders {
    @Locked('order:<id>')
    async place(id: string) {
      runs.push(id);
    }
  }

  test.each<[string, () => Promise<Orders>]>([
    ['made with new', async () => new Orders()],
    [
      'made by a factory for each request',
      async () => {
        const { module } = await applicationWith({
          providers: [{ provide: Orders, useFactory: () => new Orders(), scope: Scope.REQUEST }],
        });
        return module.resolve(Orders);
      },
    ],
  ])('on an object %s', async (_how, make) => {
    const orders = await make();
    const call = orders.place('7');
    await expect(call).rejects.toThrow(LockConfigurationError);
    await expect(call).rejects.toThrow(
      /Orders.place cannot find its lock and did not run: this object was not made by Nest.*call LockService.withLock\(\) instead/,
    );
    expect(runs).toEqual([]);
  });

  test('on a backend that nobody has', async () => {
    @Injectable()
    class Late {
      @Locked('k', { backend: 'nowhere' })
      async run() {
        runs.push('ran');
      }
    }
    const { get } = await applicationWith({});
    const late = await get(ModuleRef).create(Late);
    await expect(late.run()).rejects.toThrow(
      'Late.run cannot be locked and did not run: there is no backend "nowhere" here. Known: "default".',
    );
    expect(runs).toEqual([]);
  });
});
