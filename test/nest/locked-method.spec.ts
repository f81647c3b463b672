import 'reflect-metadata';
import { Injectable, type OnApplicationBootstrap, type OnModuleInit, SetMetadata } from '@nestjs/common';
import { inspect } from 'node:util';
import {
  currentLock,
  Locked,
  LockConfigurationError,
  LockLostError,
  LockService,
  LockTimeoutError,
} from 'nestjs-distributed-lock';
import { describe, expect, test } from 'vitest';
import { applicationWith, isHeld, nextEvent } from './support/application.js';
import { Gate } from './support/gate.js';
import { Workshop } from './support/workshop.js';

describe('a locked method', () => {
  @Injectable()
  class Orders {
    readonly workshop = new Workshop();

    @Locked('order:<id>')
    async place(id: string) {
      return this.workshop.work(id);
    }

    @Locked('order:<id>')
    async fail(id: string): Promise<never> {
      throw new Error(`no order ${id}`);
    }

    @Locked('order:<id>')
    place2(id: string): Promise<string> {
      return this.workshop.work(id);
    }

    @Locked('order:<id>')
    failAtOnce(id: string): Promise<never> {
      throw new Error(`no order ${id}`);
    }

    @Locked('order:<id>')
    async hold(id: string, gate: Gate) {
      await gate.passed;
      return id;
    }

    @Locked('order:<id>')
    async holdAndPlace(id: string, times: number) {
      return Promise.all(Array.from({ length: times }, () => this.place(id)));
    }
  }

  test('runs once at a time for a key', async () => {
    const { get } = await applicationWith({ providers: [Orders] });
    const orders = get(Orders);
    expect(await Promise.all(['7', '7', '7', '7'].map((id) => orders.place(id)))).toEqual(['7', '7', '7', '7']);
    expect(orders.workshop).toMatchObject({ most: 1, visits: ['7', '7', '7', '7'] });
  });

  test('runs side by side for different keys', async () => {
    const { get } = await applicationWith({ providers: [Orders] });
    await Promise.all(['1', '2', '3'].map((id) => get(Orders).place(id)));
    expect(get(Orders).workshop.most).toBe(3);
  });

  test('shares its key with other methods, and with LockService', async () => {
    const application = await applicationWith({ providers: [Orders] });
    const orders = application.get(Orders);
    const waiting = nextEvent(application, 'waiting');
    const lock = await application.get(LockService).acquire('order:7');
    const placed = orders.place2('7');
    expect(await waiting).toMatchObject({ key: 'order:7', holder: lock.owner });
    expect(orders.workshop.visits).toEqual([]);
    await lock.release();
    expect(await placed).toBe('7');
  });

  test.each(['fail', 'failAtOnce'] as const)('that throws (%s) passes the error on and releases', async (method) => {
    const application = await applicationWith({ providers: [Orders] });
    await expect(application.get(Orders)[method]('7')).rejects.toThrow('no order 7');
    expect(await isHeld(application, 'order:7')).toBe(false);
  });

  test('is told by LockTimeoutError who was in the way', async () => {
    @Injectable()
    class Impatient {
      @Locked('order:<id>', { wait: 0 })
      async place(id: string) {
        return id;
      }
    }
    const application = await applicationWith({ providers: [Impatient] });
    const lock = await application.get(LockService).acquire('order:7');
    const call = application.get(Impatient).place('7');
    await expect(call).rejects.toThrow(LockTimeoutError);
    await expect(call).rejects.toMatchObject({
      code: 'LOCK_TIMEOUT',
      key: 'order:7',
      backend: 'default',
      holder: lock.owner,
    });
  });

  test('fails with LockLostError when it succeeded but its lock was lost', async () => {
    const application = await applicationWith({ providers: [Orders] });
    const gate = new Gate();
    const acquired = nextEvent(application, 'acquired');
    const call = application.get(Orders).hold('7', gate);
    await acquired;
    await application.get(LockService).forceRelease('order:7');
    gate.open();
    await expect(call).rejects.toThrow(LockLostError);
  });

  test('re-enters its own key, one at a time', async () => {
    const { get } = await applicationWith({ providers: [Orders] });
    expect(await get(Orders).holdAndPlace('7', 3)).toEqual(['7', '7', '7']);
    expect(get(Orders).workshop.most).toBe(1);
  });

  test('waits as a stranger with `reentrant: false`', async () => {
    @Injectable()
    class Strict {
      @Locked('order:<id>')
      async outer(id: string) {
        return this.inner(id);
      }
      @Locked('order:<id>', { reentrant: false, wait: 0 })
      async inner(id: string) {
        return id;
      }
    }
    const { get } = await applicationWith({ providers: [Strict] });
    await expect(get(Strict).outer('7')).rejects.toThrow(LockTimeoutError);
    expect(await get(Strict).inner('7')).toBe('7');
  });

  test('leaves its instances as they were, for whoever prints, compares, spreads or serialises them', async () => {
    const { get } = await applicationWith({ providers: [Orders] });
    const orders = get(Orders);
    await orders.place('7');
    expect(inspect(orders, { depth: 0 })).toBe('Orders { workshop: [Workshop] }');
    expect(Object.keys(orders)).toEqual(['workshop']);
    expect(Object.assign({}, orders)).toStrictEqual({ workshop: orders.workshop });
    expect(JSON.parse(JSON.stringify(orders))).toEqual({ workshop: { most: 1, visits: ['7'] } });
    expect(new Orders()).toStrictEqual(new Orders());
  });

  test.each<[string, ProxyHandler<Orders>]>([
    ['hands everything on', {}],
    [
      'calls methods on the object behind it',
      {
        get: (orders, property) => {
          const value: unknown = Reflect.get(orders, property);
          return typeof value === 'function' ? (value.bind(orders) as unknown) : value;
        },
      },
    ],
  ])('works through a proxy that %s', async (_how, handler) => {
    const { get } = await applicationWith({
      providers: [
        Orders,
        { provide: 'PROXY', inject: [Orders], useFactory: (orders: Orders) => new Proxy(orders, handler) },
      ],
    });
    expect(await get<Orders>('PROXY').place('7')).toBe('7');
  });

  test('works on an instance that froze itself', async () => {
    @Injectable()
    class Frozen {
      constructor() {
        Object.freeze(this);
      }
      @Locked('k')
      async key() {
        return currentLock()?.key;
      }
    }
    const { get } = await applicationWith({ providers: [Frozen] });
    expect(await get(Frozen).key()).toBe('k');
  });

  test('can be called from onModuleInit and onApplicationBootstrap', async () => {
    @Injectable()
    class Eager implements OnModuleInit, OnApplicationBootstrap {
      readonly keys: unknown[] = [];
      async onModuleInit() {
        await this.note('init');
      }
      async onApplicationBootstrap() {
        await this.note('bootstrap');
      }
      @Locked('at:<when>')
      async note(when: string) {
        this.keys.push(currentLock()?.key, when);
      }
    }
    const { get } = await applicationWith({ providers: [Eager] });
    expect(get(Eager).keys).toEqual(['at:init', 'init', 'at:bootstrap', 'bootstrap']);
  });

  test('cannot be called from the constructor, and says why', async () => {
    @Injectable()
    class Hasty {
      readonly ran: string[] = [];
      readonly placed = this.place('7');
      constructor() {
        this.placed.catch(() => undefined);
      }
      @Locked('order:<id>')
      async place(id: string) {
        this.ran.push(id);
      }
    }
    const { get } = await applicationWith({ providers: [Hasty] });
    await expect(get(Hasty).placed).rejects.toThrow(
      /Hasty.place cannot find its lock and did not run.*its constructor is not through yet/,
    );
    expect(get(Hasty).ran).toEqual([]);
  });

  test('called without its object does not run, and says why', async () => {
    const { get } = await applicationWith({ providers: [Orders] });
    const { place } = get(Orders);
    await expect(place('7')).rejects.toThrow('Orders.place was called without its object');
  });
});

describe('currentLock', () => {
  test('is the lock of the method that runs, with its token and signal', async () => {
    @Injectable()
    class Orders {
      @Locked('order:<id>')
      async place(id: string) {
        const lock = currentLock();
        return {
          id,
          key: lock?.key,
          held: lock?.held,
          token: typeof lock?.fencingToken,
          aborted: lock?.signal.aborted,
        };
      }
    }
    const { get } = await applicationWith({ providers: [Orders] });
    expect(await get(Orders).place('7')).toEqual({
      id: '7',
      key: 'order:7',
      held: true,
      token: 'bigint',
      aborted: false,
    });
    expect(currentLock()).toBeUndefined();
  });

  test('finds an outer lock by its key', async () => {
    @Injectable()
    class Orders {
      @Locked('outer')
      async outer() {
        return this.inner();
      }
      @Locked('inner')
      async inner() {
        return [currentLock()?.key, currentLock('outer')?.key, currentLock('other')?.key];
      }
    }
    const { get } = await applicationWith({ providers: [Orders] });
    expect(await get(Orders).outer()).toEqual(['inner', 'outer', undefined]);
  });

  test('is gone for work that outlives the method', async () => {
    const gate = new Gate();
    @Injectable()
    class Orders {
      late: Promise<unknown> = Promise.resolve();
      @Locked('order')
      async place() {
        this.late = gate.passed.then(() => currentLock());
      }
    }
    const { get } = await applicationWith({ providers: [Orders] });
    await get(Orders).place();
    gate.open();
    expect(await get(Orders).late).toBeUndefined();
  });
});

describe('the decorated method passes for the one that was written', () => {
  const secret = Symbol('place');
  const Marked = (): MethodDecorator => (_prototype, _property, descriptor) => {
    Object.assign(descriptor.value as object, { marked: true });
  };

  class Orders {
    @SetMetadata('above', 1)
    @Locked('order:<id>')
    @SetMetadata('below', 2)
    @Marked()
    async place(id: string, _note: string, _more = 1) {
      return id;
    }

    @Locked('order')
    async [secret]() {
      return 1;
    }
  }

  test('by name and length', () => {
    expect(Orders.prototype.place.name).toBe('place');
    expect(Orders.prototype.place.length).toBe(2);
    expect(Orders.prototype[secret].name).toBe('[place]');
  });

  test('by all metadata, from above and from below', () => {
    expect(Reflect.getMetadata('above', Orders.prototype.place)).toBe(1);
    expect(Reflect.getMetadata('below', Orders.prototype.place)).toBe(2);
    expect(Reflect.getMetadata('design:paramtypes', Orders.prototype, 'place')).toHaveLength(3);
  });

  test('by its own properties', () => {
    expect(Object.entries(Orders.prototype.place)).toEqual([['marked', true]]);
  });

  test('by how its property is described', () => {
    class Plain {
      async place() {}
    }
    const { value: _locked, ...locked } = Object.getOwnPropertyDescriptor(Orders.prototype, 'place') ?? {};
    const { value: _plain, ...plain } = Object.getOwnPropertyDescriptor(Plain.prototype, 'place') ?? {};
    expect(locked).toEqual(plain);
  });

  test('and is still an async function', () => {
    expect(Orders.prototype.place.constructor.name).toBe('AsyncFunction');
  });
});

describe('what cannot be locked is refused when the class is defined:', () => {
  // The types refuse most of these too (test/types).
  const locked = Locked('k') as (prototype: object, property: string, descriptor?: PropertyDescriptor) => void;

  test('a static method', () => {
    const define = () => {
      class Orders {
        static async place() {}
      }
      locked(Orders, 'place', Object.getOwnPropertyDescriptor(Orders, 'place'));
    };
    expect(define).toThrow(LockConfigurationError);
    expect(define).toThrow('Orders.place cannot be @Locked: it is static');
  });

  test('an accessor', () => {
    const define = () => {
      class Orders {
        get place() {
          return 1;
        }
      }
      locked(Orders.prototype, 'place', Object.getOwnPropertyDescriptor(Orders.prototype, 'place'));
    };
    expect(define).toThrow('Orders.place cannot be @Locked: it is an accessor');
  });

  test('a field', () => {
    const define = () => {
      class Orders {
        @locked
        place = async () => 1;
      }
      return Orders;
    };
    expect(define).toThrow('Orders.place cannot be @Locked: it is a field');
  });

  test('a synchronous generator', () => {
    const define = () => {
      class Orders {
        *place() {
          yield 1;
        }
      }
      locked(Orders.prototype, 'place', Object.getOwnPropertyDescriptor(Orders.prototype, 'place'));
    };
    expect(define).toThrow('Orders.place is a synchronous generator');
  });

  test('anything, with the decorators of the standard', () => {
    const standard = locked as unknown as (method: unknown, context: object) => void;
    expect(() => standard(async () => {}, { kind: 'method', name: 'place' })).toThrow('experimentalDecorators');
  });
});
