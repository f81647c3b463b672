import {
  type CanActivate,
  Controller,
  Get,
  Injectable,
  Param,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_INTERCEPTOR, ModuleRef } from '@nestjs/core';
import { CommandHandler } from '@nestjs/cqrs';
import { OnEvent } from '@nestjs/event-emitter';
import { Interval } from '@nestjs/schedule';
import {
  DistributedLockModule,
  type LockBackend,
  LockBackendError,
  Locked,
  LockConfigurationError,
  LockInterceptor,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, it, test, vi } from 'vitest';
import { applicationWith } from './support/application.js';

const silent = (error = new Error('connect ECONNREFUSED 127.0.0.1:6379')): LockBackend => ({
  ...memory(),
  kind: 'redis',
  ping: vi.fn<() => Promise<void>>(async () => {
    throw error;
  }),
});

class Parent {
  @Locked('work')
  async work(): Promise<void> {}
  other(): void {}
}

class Hiding extends Parent {
  override work = async () => undefined;
}

describe('at boot every backend is asked for an answer', () => {
  test('and without one the application does not start', async () => {
    const boot = applicationWith({
      imports: [DistributedLockModule.forRoot({ backends: { main: memory(), audit: silent() }, default: 'main' })],
    });
    await expect(boot).rejects.toThrow(LockBackendError);
    await expect(boot).rejects.toThrow(
      "The lock backend 'audit' (redis) could not be reached: connect ECONNREFUSED 127.0.0.1:6379",
    );
  });

  /** A backend that does not answer so many times. */
  const slow = (unanswered: number) => {
    const ping = vi.fn<() => Promise<void>>(async () => {
      if (ping.mock.calls.length <= unanswered) await new Promise(() => undefined);
    });
    const backend: LockBackend = { ...memory(), patienceMs: 20, ping };
    return { ping, boot: applicationWith({ imports: [DistributedLockModule.forRoot({ backend })] }) };
  };

  test('twice when no answer came in time, for this process may have had no time to hear it', async () => {
    const { boot, ping } = slow(1);
    await expect(boot).resolves.toBeDefined();
    expect(ping).toHaveBeenCalledTimes(2);
  });

  test('and no more than twice', async () => {
    const { boot, ping } = slow(2);
    await expect(boot).rejects.toThrow('could not be reached: no answer within 20 ms');
    expect(ping).toHaveBeenCalledTimes(2);
  });

  test('and what was opened is closed again when one does not give it', async () => {
    const close = vi.fn<() => Promise<void>>(async () => {});
    const main: LockBackend = { ...memory(), close };
    const boot = applicationWith({
      imports: [DistributedLockModule.forRoot({ backends: { main, audit: silent() }, default: 'main' })],
    });
    await expect(boot).rejects.toThrow(LockBackendError);
    expect(close).toHaveBeenCalledTimes(1);
  });

  test('before anything else of the application begins', async () => {
    const begun: string[] = [];
    @Injectable()
    class Jobs {
      onModuleInit() {
        begun.push('jobs');
      }
    }
    const boot = applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: silent() })],
      providers: [Jobs],
    });
    await expect(boot).rejects.toThrow(LockBackendError);
    expect(begun).toEqual([]);
  });

  test('unless `checkAtBoot` is false', async () => {
    const boot = applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: silent(), checkAtBoot: false })],
    });
    await expect(boot).resolves.toBeDefined();
  });
});

describe('at boot every lock is looked at', () => {
  test('and listed at debug level', async () => {
    @Injectable()
    class Orders {
      @Locked('order:<id>')
      async place(id: string) {
        return id;
      }
      @Locked(['a:<from>', 'b'])
      async transfer(from: string) {
        return from;
      }
      @Locked((id: string) => id)
      async byFunction(_id: string) {}
    }
    @Controller()
    class Exports {
      @Get('exports/:id')
      @UseInterceptors(LockInterceptor('export:<id>'))
      export(@Param('id') id: string) {
        return id;
      }
    }
    const { logger } = await applicationWith({
      providers: [Orders, { provide: 'AGAIN', useClass: Orders }],
      controllers: [Exports],
    });
    expect(logger.texts('debug').filter((text) => text.includes(' locks '))).toEqual([
      expect.stringContaining('Orders.place locks "order:<id>" on "default"'),
      expect.stringContaining('Orders.transfer locks "a:<from>" + "b" on "default"'),
      expect.stringContaining('Orders.byFunction locks a function of its arguments on "default"'),
      expect.stringContaining('Exports.export locks "export:<id>" on "default"'),
    ]);
    expect(logger.texts('warn')).toEqual([]);
  });

  test('and one on an unknown backend is refused, together with all others that are wrong', async () => {
    @Injectable()
    class Orders {
      @Locked('k', { backend: 'slow' })
      async unknown() {}
      @Locked('k', { ttl: 1 })
      async short() {}
      @Locked('k', { wait: 'soon' as '1s' })
      async nonsense() {}
    }
    const boot = applicationWith({ providers: [Orders] });
    await expect(boot).rejects.toThrow(LockConfigurationError);
    await expect(boot).rejects.toThrow('Orders.unknown: there is no backend "slow" here. Known: "default".');
    await expect(boot).rejects.toThrow('Orders.short: `ttl` is 1 ms');
    await expect(boot).rejects.toThrow('Orders.nonsense: `wait` is "soon", which is not a duration');
  });

  test('and one without a default backend is refused', async () => {
    @Injectable()
    class Orders {
      @Locked('k')
      async place() {}
    }
    const boot = applicationWith({
      imports: [DistributedLockModule.forRoot({ backends: { a: memory() }, default: false })],
      providers: [Orders],
    });
    await expect(boot).rejects.toThrow('Orders.place: no backend is the default one. Name one of "a" as `default`');
  });

  test('and one that the backend cannot do is refused', async () => {
    const backend: LockBackend = { ...memory(), kind: 'simple', traits: { ...memory().traits, fifo: false } };
    @Injectable()
    class Orders {
      @Locked('k', { fair: true })
      async place() {}
    }
    const boot = applicationWith({ imports: [DistributedLockModule.forRoot({ backend })], providers: [Orders] });
    await expect(boot).rejects.toThrow(
      'Orders.place: `fair: true` needs a backend that keeps a line of waiters, and simple does not.',
    );
  });

  test('and a LockInterceptor whose key does not fit its handler, or whose options do not work, is refused', async () => {
    @Controller()
    class Exports {
      @Get('a/:id')
      @UseInterceptors(LockInterceptor('export:<name>'))
      unknown(@Param('id') id: string) {
        return id;
      }
      @Get('b')
      @UseInterceptors(LockInterceptor('export:<id>'))
      notFromTheRequest(id: string) {
        return id;
      }
      @Get('c')
      @UseInterceptors(LockInterceptor('export', { hold: 'respnse' as 'response' }))
      held() {}
      @Get('d')
      @UseInterceptors(LockInterceptor('export', { onBusy: 'ignore' as 'skip' }))
      busy() {}
    }
    const boot = applicationWith({ controllers: [Exports] });
    await expect(boot).rejects.toThrow(LockConfigurationError);
    await expect(boot).rejects.toThrow(
      'Exports.unknown: `<name>` in the lock key `export:<name>` is not known. Known here: <id>.',
    );
    await expect(boot).rejects.toThrow(
      "Exports.held: `hold` of LockInterceptor is \"respnse\"; it is 'handler' or 'response'.",
    );
    await expect(boot).rejects.toThrow('Exports.busy: `onBusy` is "ignore"; it is');
    await expect(boot).rejects.toThrow(
      'Exports.notFromTheRequest: `<id>` in the lock key `export:<id>` names a parameter that is not taken from the request.',
    );
  });
});

describe('at boot a warning tells of', () => {
  class Orders {
    @Locked('order:<id>')
    async place(id: string) {
      return id;
    }
  }

  test('overrides that drop a lock', async () => {
    @Injectable()
    class Books extends Orders {
      override async place(id: string) {
        return `book ${id}`;
      }
    }
    const { logger } = await applicationWith({ providers: [Books] });
    expect(logger.texts('warn')).toEqual([
      expect.stringContaining('Books.place overrides Orders.place and drops its lock.'),
    ]);
  });

  test('but not of overrides that call the method of super, or are locked themselves', async () => {
    @Injectable()
    class Books extends Orders {
      override async place(id: string) {
        return super.place(id);
      }
    }
    @Injectable()
    class Toys extends Orders {
      @Locked('toy:<id>')
      override async place(id: string) {
        return id;
      }
    }
    const { logger } = await applicationWith({ providers: [Books, Toys] });
    expect(logger.texts('warn')).toEqual([]);
  });

  test('one object in two applications, which locks in the first', async () => {
    const provider = { provide: Orders, useValue: new Orders() };
    const first = await applicationWith({ providers: [provider] });
    const second = await applicationWith({ providers: [provider] });
    expect(first.logger.texts('warn')).toEqual([]);
    expect(second.logger.texts('warn')).toEqual([
      expect.stringContaining('Orders.place is @Locked, and two applications of this process provide the same object'),
    ]);
  });

  test('and nothing else, whatever an application provides', async () => {
    const touched: (string | symbol)[] = [];
    const touchy = new Proxy({}, { get: (_target, property) => void touched.push(property) });
    @Injectable()
    class Getters {
      get explosive(): never {
        throw new Error('touched');
      }
    }
    const { logger } = await applicationWith({
      providers: [
        Getters,
        { provide: 'NULL', useValue: null },
        { provide: 'TEXT', useValue: 'text' },
        { provide: 'FUNCTION', useValue: () => 1 },
        { provide: 'BARE', useValue: Object.create(null) },
        { provide: 'TOUCHY', useValue: touchy },
        { provide: 'NOTHING', useFactory: () => undefined },
        { provide: 'LATER', useFactory: async () => new Map() },
        { provide: 'ALIAS', useExisting: Getters },
      ],
    });
    expect([...logger.texts('warn'), ...logger.texts('error')]).toEqual([]);
    // Nest itself looks for hooks and metadata.
    expect(touched.filter((property) => String(property).includes('lock'))).toEqual([]);
  });
});

describe('a LockInterceptor where Nest runs none', () => {
  const Held = () => UseInterceptors(LockInterceptor('job'));

  it('does not start with one on a job, an event listener or a CQRS handler', async () => {
    @Injectable()
    class Jobs {
      @Interval(2 ** 30)
      @Held()
      async job() {}

      @OnEvent('placed')
      @Held()
      async listen() {}
    }
    class Command {}
    @CommandHandler(Command)
    class Handler {
      @Held()
      async execute() {}
    }
    const start = applicationWith({ providers: [Jobs, Handler] });
    await expect(start).rejects.toThrow(
      /Jobs\.job has a LockInterceptor, and Nest runs no interceptors[^]*Jobs\.listen[^]*Handler\.execute/,
    );
  });

  it('warns of one on a method that no handler decorator stands on', async () => {
    @Injectable()
    class Plain {
      @Held()
      async work() {}
    }
    const { logger } = await applicationWith({ providers: [Plain] });
    expect(logger.texts('warn').join()).toContain('Plain.work has a LockInterceptor, but is no handler');
  });
});

describe('locks where nobody looks', () => {
  it('does not start with a guard whose lock names an unknown backend', async () => {
    @Injectable()
    class Guard implements CanActivate {
      @Locked('guard', { backend: 'nobody' })
      async canActivate() {
        return true;
      }
    }
    @Controller()
    class Orders {
      @Get()
      @UseGuards(Guard)
      get() {}
    }
    await expect(applicationWith({ controllers: [Orders] })).rejects.toThrow(
      /Guard\.canActivate: there is no backend "nobody"/,
    );
  });

  it('does not start with a global one whose key does not fit every route', async () => {
    @Controller()
    class Orders {
      @Get('orders/:id')
      order(@Param('id') id: string) {
        return id;
      }
      @Get('orders')
      all() {}
    }
    const boot = applicationWith({
      controllers: [Orders],
      providers: [{ provide: APP_INTERCEPTOR, useClass: LockInterceptor('order:<id>') }],
    });
    await expect(boot).rejects.toThrow(/^Orders\.all: `<id>` in the lock key `order:<id>` is not known/);
  });

  it('warns of a lock that its own object hides', async () => {
    @Injectable()
    class Child extends Parent {
      override work = async () => undefined;
    }
    const { logger } = await applicationWith({ providers: [Child] });
    expect(logger.texts('warn').join()).toMatch(/Child\.work has a lock, but its object has a member of that name/);
  });

  it.each([
    ['from useFactory', { provide: 'work', useFactory: () => new Hiding() }],
    ['from useValue', { provide: 'work', useValue: new Hiding() }],
  ])('warns of it in an object %s', async (_, provider) => {
    const { logger } = await applicationWith({ providers: [provider] });
    expect(logger.texts('warn').join()).toMatch(/Hiding\.work has a lock, but its object has a member of that name/);
  });

  it('warns once of a class whose objects are made later, for a request or by ModuleRef', async () => {
    @Injectable()
    class Late extends Parent {
      constructor() {
        super();
        this.work = async () => undefined;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class OfRequest extends Late {}
    const { module, logger } = await applicationWith({ providers: [OfRequest] });
    expect(logger.texts('warn')).toEqual([]);
    await module.resolve(OfRequest);
    await module.resolve(OfRequest);
    await module.get(ModuleRef).create(Late);
    expect(logger.texts('warn')).toEqual([
      expect.stringMatching(/^OfRequest\.work has a lock, but/),
      expect.stringMatching(/^Late\.work has a lock, but/),
    ]);
  });

  it('says nothing of a member that is still under the lock', async () => {
    @Injectable()
    class Bound extends Parent {
      constructor() {
        super();
        this.work = this.work.bind(this);
      }
    }
    @Injectable()
    class Calling extends Parent {
      override work = async () => super.work();
    }
    const { logger } = await applicationWith({ providers: [Bound, Calling] });
    expect(logger.texts('warn')).toEqual([]);
  });

  it('warns of an override that calls only another method of super', async () => {
    @Injectable()
    class Other extends Parent {
      override async work() {
        super.other();
      }
    }
    const { logger } = await applicationWith({ providers: [Other] });
    expect(logger.texts('warn').join()).toMatch(/Other\.work overrides Parent\.work and drops its lock/);
  });

  it('warns of a handler whose override has lost its LockInterceptor', async () => {
    @Controller()
    class Base {
      @Get('a')
      @UseInterceptors(LockInterceptor('a'))
      a() {}
      @Get('b')
      @UseInterceptors(LockInterceptor('b'))
      b() {}
    }
    @Controller('sub')
    class Sub extends Base {
      @Get('a')
      override a() {}
      @Get('b')
      @UseInterceptors(LockInterceptor('b'))
      override b() {}
    }
    const { logger } = await applicationWith({ controllers: [Sub] });
    expect(logger.texts('warn')).toEqual([
      expect.stringContaining('Sub.a overrides Base.a and drops its LockInterceptor'),
    ]);
  });
});
