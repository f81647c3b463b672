import { setImmediate } from 'node:timers/promises';
import { Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { LazyModuleLoader, ModuleRef } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, Leader, type Leadership, LockService, memory } from 'nestjs-distributed-lock';
import { filter, firstValueFrom } from 'rxjs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Application, applicationWith, RecordingLogger } from './support/application.js';

let led: string[];
beforeEach(() => void (led = []));

const untilItEnds = ({ signal }: Leadership) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

class Base {
  constructor(readonly id: string) {}

  @Leader('job')
  async run(leadership: Leadership) {
    led.push(this.id);
    await untilItEnds(leadership);
  }
}

@Injectable()
class Worker extends Base {
  constructor() {
    super('worker');
  }
}

const leads = ({ get }: Pick<Application, 'get'>, name = 'job') =>
  firstValueFrom(
    get(LockService)
      .leader(name)
      .leader$.pipe(filter((leadership) => leadership !== null)),
  );

describe('a @Leader method', () => {
  it.each<[string, ModuleMetadata]>([
    ['factory', { providers: [{ provide: 'X', useFactory: () => new Base('factory') }] }],
    ['value', { providers: [{ provide: 'X', useValue: new Base('value') }] }],
  ])('of an object from a %s leads', async (id, parts) => {
    const application = await applicationWith(parts);
    await leads(application);
    expect(led).toEqual([id]);
  });

  it('of a class that two modules provide leads once, with a warning', async () => {
    @Module({ providers: [Worker] })
    class A {}
    @Module({ providers: [Worker] })
    class B {}
    const application = await applicationWith({ imports: [A, B] });
    await leads(application);
    expect(led).toEqual(['worker']);
    expect(application.logger.texts('warn').join()).toMatch(
      /Worker is provided more than once, and Base.run is @Leader/,
    );
  });

  it('in a lazily loaded module, or of an object made by ModuleRef, leads and is told of the end', async () => {
    @Module({ providers: [Worker] })
    class Lazy {}
    @Injectable()
    class Created {
      @Leader('created')
      async lead() {
        led.push('created');
      }
    }
    const application = await applicationWith({});
    await application.get(LazyModuleLoader).load(() => Lazy);
    await application.get(ModuleRef).create(Created);
    await Promise.all([leads(application), leads(application, 'created')]);
    await setImmediate();
    expect(led.toSorted()).toEqual(['created', 'worker']);
    const { leadership } = application.get(LockService).leader('job');
    await application.close();
    expect(leadership?.signal.reason).toMatchObject({ code: 'LOCK_CLOSED' });
  });

  it('is left alone by a test that overrides LockService with something smaller', async () => {
    const { logger } = await applicationWith({ providers: [Worker] }, (builder) =>
      builder.overrideProvider(LockService).useValue({ withLock: () => undefined }),
    );
    expect(logger.texts('debug').join()).toContain('never leads');
  });
});

describe('a lock module that is loaded lazily', () => {
  it('stands for election, and closes with the application', async () => {
    @Module({ imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0 })], providers: [Worker] })
    class Lazy {}
    const module = await Test.createTestingModule({}).setLogger(new RecordingLogger()).compile();
    await module.init();
    let closed = false;
    onTestFinished(async () => void (closed || (await module.close())));
    const lazy = await module.get(LazyModuleLoader).load(() => Lazy);
    const locks = lazy.get(LockService, { strict: false });
    await leads({ get: () => locks as never });
    expect(led).toEqual(['worker']);
    closed = true;
    await module.close();
    expect(locks.leader('job').isLeader).toBe(false);
    await expect(locks.acquire('key')).rejects.toMatchObject({ code: 'LOCK_CLOSED' });
  });
});

describe('the start and the end of an application', () => {
  it('nobody leads before every hook of the start has passed, nor when one of them fails', async () => {
    const backend = memory();
    @Injectable()
    class Fails {
      async onApplicationBootstrap() {
        await setImmediate();
        throw new Error('the mail server is down');
      }
    }
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend, shutdownGrace: 0 })],
      providers: [Worker, Fails],
    })
      .setLogger(new RecordingLogger())
      .compile();
    await expect(module.init()).rejects.toThrow('the mail server is down');
    const other = await applicationWith({ imports: [DistributedLockModule.forRoot({ backend })] });
    await leads(other);
    expect(led).toEqual([]);
  });

  it('leaders end before anything is destroyed that they need', async () => {
    const order: string[] = [];
    @Injectable()
    class Database {
      onModuleDestroy() {
        order.push('database closed');
      }
    }
    @Injectable()
    class Outbox {
      constructor(readonly database: Database) {}

      @Leader('job')
      async publish(leadership: Leadership) {
        await untilItEnds(leadership);
        await setImmediate();
        order.push('last batch written');
      }
    }
    Reflect.defineMetadata('design:paramtypes', [Database], Outbox);
    const application = await applicationWith({
      imports: [DistributedLockModule.forRoot({ backend: memory() })],
      providers: [Database, Outbox],
    });
    await leads(application);
    await application.close();
    expect(order).toEqual(['last batch written', 'database closed']);
  });
});

describe('lead()', () => {
  it('begins a work once in a term, also when the work or a subscriber hands it in again', async () => {
    const { get } = await applicationWith({});
    const started: string[] = [];
    const inner = async (leadership: Leadership) => {
      started.push('inner');
      await untilItEnds(leadership);
    };
    const election = get(LockService).leader('job');
    election.leader$.subscribe((leadership) => leadership && void election.lead(inner));
    election.lead(() => void election.lead(inner));
    await leads({ get });
    await setImmediate();
    expect(started).toEqual(['inner']);
  });
});
