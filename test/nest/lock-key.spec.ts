import { Body, Get, Injectable, Param, Query, Req } from '@nestjs/common';
import {
  currentLock,
  Locked,
  LockConfigurationError,
  LockKeyError,
  LockParam,
  LockService,
} from 'nestjs-distributed-lock';
import { describe, expect, test } from 'vitest';
import { applicationWith, nextEvent } from './support/application.js';

/** Defines a class, as its module would when it is loaded. */
const definition = (define: () => unknown) => define;

async function keyOf<T extends object>(
  Provider: new () => T,
  call: (instance: T) => Promise<unknown>,
): Promise<unknown> {
  const application = await applicationWith({ providers: [Provider] });
  return call(application.get(Provider));
}

describe('a template takes values of the call', () => {
  @Injectable()
  class Orders {
    @Locked('order:<id>')
    async byName(_customer: string, id: unknown) {
      return currentLock()?.key;
    }

    @Locked('order:<1>')
    async byIndex(_customer: string, _id: string) {
      return currentLock()?.key;
    }

    @Locked('order:<order.customer.id>/<order.lines.0.sku>')
    async byPath(order: { customer: { id: number }; lines: { sku: string }[] }) {
      return currentLock()?.key;
    }

    @Locked('order:<0.id>')
    async byPathOfIndex({ id }: { id: string }) {
      return `${currentLock()?.key} of ${id}`;
    }

    @Locked(['account:<from>', 'account:<to>'])
    async transfer(from: string, to: string) {
      return currentLock()?.keys;
    }

    @Locked('all-orders')
    async all() {
      return currentLock()?.key;
    }

    @Locked('tag:<tags.1>')
    async rest(...tags: string[]) {
      return `${currentLock()?.key} of ${tags.length}`;
    }

    @Locked('order:<2>')
    async further(..._all: unknown[]) {
      return currentLock()?.key;
    }

    @Locked('order:< id >')
    async roomy(id: string) {
      return currentLock()?.key ?? id;
    }
  }

  test.each<[string, string, (orders: Orders) => Promise<unknown>]>([
    ['a name', 'order:7', (orders) => orders.byName('c', '7')],
    ['an index', 'order:7', (orders) => orders.byIndex('c', '7')],
    ['a path', 'order:7/x1', (orders) => orders.byPath({ customer: { id: 7 }, lines: [{ sku: 'x1' }] })],
    ['a path of a destructured argument', 'order:7 of 7', (orders) => orders.byPathOfIndex({ id: '7' })],
    ['none', 'all-orders', (orders) => orders.all()],
    ['one of the rest', 'tag:b of 2', (orders) => orders.rest('a', 'b')],
    ['an index behind a rest parameter', 'order:c', (orders) => orders.further('a', 'b', 'c')],
    ['spaces inside the brackets', 'order:7', (orders) => orders.roomy('7')],
  ])('%s', async (_what, key, call) => {
    expect(await keyOf(Orders, call)).toBe(key);
  });

  test('several templates lock all their keys, each once, in one order for everybody', async () => {
    expect(await keyOf(Orders, (orders) => orders.transfer('b', 'a'))).toEqual(['account:a', 'account:b']);
    expect(await keyOf(Orders, (orders) => orders.transfer('a', 'a'))).toEqual(['account:a']);
  });

  test.each<[unknown, string]>([
    ['plain-1.2_3', 'order:plain-1.2_3'],
    ['a:b/c d', 'order:a%3Ab%2Fc%20d'],
    ['<id>', 'order:%3Cid%3E'],
    ['100%', 'order:100%25'],
    ['', 'order:'],
    ['größe', 'order:gr%C3%B6%C3%9Fe'],
    [7, 'order:7'],
    [-0, 'order:0'],
    [7n, 'order:7'],
    [false, 'order:false'],
  ])('%o reads %s', async (id, key) => {
    expect(await keyOf(Orders, (orders) => orders.byName('c', id))).toBe(key);
  });

  test.each<[unknown, RegExp]>([
    [undefined, /`<id>` in the lock key is undefined/],
    [null, /is null/],
    [{ id: 7 }, /is an object \(Object\).*Name one of its properties/],
    [['7'], /is an object \(Array\)/],
    [Object.create(null), /is an object \(no prototype\)/],
    [new Date(0), /is an object \(Date\).*toISOString/],
    [Number.NaN, /is NaN/],
    [Number.POSITIVE_INFINITY, /is Infinity/],
    [Symbol('id'), /is a symbol/],
    [() => 7, /is a function/],
    ['\ud800', /half a surrogate pair/],
  ])('%o is refused before anything is locked, and the method does not run', async (id, message) => {
    const application = await applicationWith({ providers: [Orders] });
    const locked: unknown[] = [];
    application.get(LockService).events$.subscribe((event) => locked.push(event));
    const call = application.get(Orders).byName('c', id);
    await expect(call).rejects.toThrow(LockKeyError);
    await expect(call).rejects.toThrow(message);
    await expect(call).rejects.toThrow('Orders.byName');
    expect(locked).toEqual([]);
  });

  test('a path that ends early is refused, and says where', async () => {
    const order = { customer: null, lines: [] } as never;
    const call = keyOf(Orders, (orders) => orders.byPath(order));
    await expect(call).rejects.toThrow(LockKeyError);
    await expect(call).rejects.toThrow(
      '`<order.customer.id>` in the lock key has no value, because `order.customer` is null',
    );
  });

  test('a path does not go into texts', async () => {
    const call = keyOf(Orders, (orders) => orders.byPath({ customer: 'abc', lines: [] } as never));
    await expect(call).rejects.toThrow('because `order.customer` is string');
  });
});

describe('no two argument lists share a key by accident', () => {
  @Injectable()
  class Pairs {
    @Locked('<a>:<b>')
    async pair(a: unknown, b: unknown) {
      return [a, b, currentLock()?.key].at(-1);
    }
  }

  test('values cannot reach over the separator', async () => {
    const application = await applicationWith({ providers: [Pairs] });
    const pairs = application.get(Pairs);
    const parts = ['a', 'b', 'a:b', 'b:c', ':', '', '%', '%3A', 'a%3Ab', '<a>'];
    const keys = await Promise.all(parts.flatMap((a) => parts.map((b) => pairs.pair(a, b))));
    expect(new Set(keys).size).toBe(parts.length ** 2);
  });

  test.each(['<a><b>', '<a>-<b>', '<a>.<b>', '<a>x<b>', '<a>%<b>'])(
    '%s is refused when the class is defined',
    (key) => {
      const define = definition(() => {
        class Pair {
          @Locked(key)
          async pair(a: string, b: string) {
            return a + b;
          }
        }
        return Pair;
      });
      expect(define).toThrow(LockConfigurationError);
      expect(define).toThrow(/different values could make one key.*such as `:`/);
    },
  );
});

describe('a function of the arguments', () => {
  interface Account {
    readonly id: number;
  }
  @Injectable()
  class Accounts {
    readonly bank = 'north';

    @Locked((from: Account, to: Account) => [`account:${from.id}`, `account:${to.id}`])
    async transfer(_from: Account, _to: Account, _amount: bigint) {
      return currentLock()?.keys;
    }

    @Locked(function (this: Accounts, account: Account) {
      return `${this.bank}: ${account.id}`;
    })
    async close(_account: Account) {
      return currentLock()?.key;
    }

    @Locked((key: unknown) => key as string)
    async any(_key: unknown) {
      return currentLock()?.key;
    }
  }

  test('makes the keys, used as they are', async () => {
    expect(await keyOf(Accounts, (accounts) => accounts.transfer({ id: 2 }, { id: 1 }, 5n))).toEqual([
      'account:1',
      'account:2',
    ]);
  });

  test('has the object as `this`', async () => {
    expect(await keyOf(Accounts, (accounts) => accounts.close({ id: 1 }))).toBe('north: 1');
  });

  test.each<[unknown, RegExp]>([
    [undefined, /gave undefined instead of a string/],
    [null, /gave null/],
    ['', /gave an empty string/],
    [7, /gave number/],
    [[], /gave an empty array/],
    [['a', undefined], /gave an array with something else in it/],
    [Promise.resolve('a'), /gave a promise \(it may not be async\)/],
  ])('that gives %o is refused, and the method does not run', async (key, message) => {
    const call = keyOf(Accounts, (accounts) => accounts.any(key));
    await expect(call).rejects.toThrow(LockKeyError);
    await expect(call).rejects.toThrow(message);
  });
});

describe('a name is resolved when the class is defined', () => {
  test('an unknown one throws, listing what is known', () => {
    const define = definition(() => {
      class Orders {
        @Locked('order:<orderId>')
        async place(@LockParam('customer') a: string, id: string, { sku }: { sku: string }, @Param('shop') s: string) {
          return [a, id, sku, s];
        }
      }
      return Orders;
    });
    expect(define).toThrow(LockConfigurationError);
    expect(define).toThrow(
      'Orders.place: `<orderId>` in the lock key `order:<orderId>` is not known. Known here: <customer>, <a>, <id>, <s>, <shop>. ' +
        'Destructured parameters are reached by index: <2.…>.',
    );
  });

  test('an index beyond the parameters throws', () => {
    const define = definition(() => {
      class Orders {
        @Locked('order:<2>')
        async place(a: string, b: string) {
          return [a, b];
        }
      }
      return Orders;
    });
    expect(define).toThrow('`<2>` in the lock key `order:<2>` is out of range. The method has 2 parameters.');
  });

  test.each<[string, RegExp]>([
    ['', /is empty/],
    ['order:<id', /a bracket without its partner/],
    ['order:id>', /a bracket without its partner/],
    ['order:<<id>>', /a bracket without its partner/],
    ['order:${id}', /has `\$\{id\}`, which is text between quotes, .* Write `<id>`, or give a function\./],
    ['order:<>', /has the placeholder `<>`/],
    ['order:<.id>', /has the placeholder `<.id>`/],
    ['order:<id.>', /has the placeholder `<id.>`/],
    ['order:<id..x>', /has the placeholder `<id..x>`/],
  ])('the template %o throws', (key, message) => {
    const define = definition(() => {
      class Orders {
        @Locked(key)
        async place(id: string) {
          return id;
        }
      }
      return Orders;
    });
    expect(define).toThrow(LockConfigurationError);
    expect(define).toThrow(message);
  });

  test('an empty list of templates throws', () => {
    const define = definition(() => {
      class Orders {
        @Locked([])
        async place() {}
      }
      return Orders;
    });
    expect(define).toThrow('the list of lock keys is empty');
  });

  test('@LockParam comes before the name of a parameter', async () => {
    @Injectable()
    class Orders {
      @Locked('order:<id>')
      async place(id: string, @LockParam('id') real: string) {
        return [id, real, currentLock()?.key].at(-1);
      }
    }
    expect(await keyOf(Orders, (orders) => orders.place('wrong', 'right'))).toBe('order:right');
  });

  test('@LockParam stands in for names that a minifier took', async () => {
    @Injectable()
    class Orders {
      @Locked('order:<id>')
      async place(@LockParam('id') a: string) {
        return currentLock()?.key ?? a;
      }
    }
    expect(await keyOf(Orders, (orders) => orders.place('7'))).toBe('order:7');
  });

  test('one @LockParam name for two parameters throws', () => {
    const define = definition(() => {
      class Orders {
        @Locked('order:<id>')
        async place(@LockParam('id') a: string, @LockParam('id') b: string) {
          return [a, b];
        }
      }
      return Orders;
    });
    expect(define).toThrow("Orders.place: two parameters are named @LockParam('id').");
  });

  test('a parameter decorator of Nest names its parameter', async () => {
    @Injectable()
    class Orders {
      @Get(':id')
      @Locked('order:<id>')
      async place(@Req() _request: unknown, @Param('id') a: string) {
        return currentLock()?.key ?? a;
      }
    }
    expect(await keyOf(Orders, (orders) => orders.place({}, '7'))).toBe('order:7');
  });

  test('a name that could mean two parameters throws', () => {
    const byRoute = definition(() => {
      class Orders {
        @Locked('order:<id>')
        async place(@Param('id') a: string, @Query('id') b: string) {
          return [a, b];
        }
      }
      return Orders;
    });
    // A minifier may have given the name of one parameter to another.
    const byNameAndRoute = definition(() => {
      class Orders {
        @Locked('order:<id>')
        async place(@Param('id') a: string, @Body() id: string) {
          return [a, id];
        }
      }
      return Orders;
    });
    for (const define of [byRoute, byNameAndRoute]) {
      expect(define).toThrow(LockConfigurationError);
      expect(define).toThrow(
        "`<id>` in the lock key `order:<id>` is ambiguous: it names the parameters 0 and 1. Name the one you mean with @LockParam('id')",
      );
    }
  });

  test('from the source of the class, where a decorator below has wrapped the method', async () => {
    const Transactional = (): MethodDecorator => (_prototype, _property, descriptor) => {
      const method = descriptor.value as unknown as (...args: unknown[]) => unknown;
      descriptor.value = function (this: unknown, ...args: unknown[]) {
        return method.apply(this, args);
      } as never;
    };
    @Injectable()
    class Orders {
      static place(other: string) {
        return other;
      }

      readonly place2 = function place(field: string) {
        return field;
      };

      @Locked('order:<id>')
      @Transactional()
      async place(_by: string, id: string, { at } = { at: ')' }) {
        return [currentLock()?.key, id, at];
      }
    }
    const { get } = await applicationWith({ providers: [Orders] });
    expect(await get(Orders).place('me', '7')).toEqual(['order:7', '7', ')']);
  });

  test('two locks on one method both read the names of the method', async () => {
    @Injectable()
    class Orders {
      @Locked('customer:<customer>')
      @Locked('order:<id>')
      async place(customer: string, id: string) {
        return [currentLock('customer:c')?.key, currentLock('order:7')?.key, customer, id];
      }
    }
    expect(await keyOf(Orders, (orders) => orders.place('c', '7'))).toEqual(['customer:c', 'order:7', 'c', '7']);
  });
});

test('the key of an event is the key as it was written, without the prefix of the module', async () => {
  @Injectable()
  class Orders {
    @Locked('order:<id>')
    async place(id: string) {
      return id;
    }
  }
  const application = await applicationWith({ providers: [Orders] });
  const acquired = nextEvent(application, 'acquired');
  await application.get(Orders).place('a b');
  expect(await acquired).toMatchObject({ key: 'order:a%20b', backend: 'default' });
});

describe('a placeholder as other libraries write it', () => {
  test.each([
    ['order:{id}', '{id}'],
    ['order::id', ':id'],
    ['/orders/:id', ':id'],
    [':id', ':id'],
  ])('is refused, since all calls would share one key: %s', (template, written) => {
    expect(() => {
      class Orders {
        @Locked(template)
        async place(_id: string) {}
      }
      return Orders;
    }).toThrow(`has \`${written}\`, which is text here`);
  });

  test('does not stand in the way of ordinary keys', () => {
    class Orders {
      @Locked('shop:orders:<id>:lines')
      async place(id: string) {
        return id;
      }
    }
    expect(Orders).toBeDefined();
  });
});
