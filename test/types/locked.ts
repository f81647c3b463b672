/**
 * Compiled, never run: what `@Locked` accepts, and what it refuses before the program exists. `npm run typecheck` fails when one of
 * these expectations does.
 */
import { applyDecorators } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import { memory, Leader, Leadership, Locked, type LockedOptions, DistributedLockModule } from 'nestjs-distributed-lock';
import { Observable, of } from 'rxjs';

interface Order {
  readonly id: string;
}

export class Accepted {
  readonly shop = 'north';

  @Locked('order:<id>')
  async promise(_id: string) {}

  @Locked('order:<id>')
  async generic<T>(_id: string, value: T): Promise<T> {
    return value;
  }

  @Locked('order:<id>')
  thenable(_id: string): PromiseLike<string> {
    return Promise.resolve('');
  }

  @Locked('order:<id>')
  observable(_id: string): Observable<string> {
    return of('');
  }

  @Locked('order:<id>')
  async *generator(_id: string) {
    yield 1;
  }

  @Locked('order:<id>')
  async *iterable(_id: string): AsyncIterable<number> {
    yield 1;
  }

  @Locked(['a:<from>', 'b:<to>'] as const)
  async several(_from: string, _to: string) {}

  @Locked('order:<id>')
  private async hidden(_id: string) {}

  @Locked('order:<id>')
  protected async guarded(_id: string) {
    await this.hidden('');
  }

  @Locked((order: Order) => order.id)
  async fromArguments(_order: Order) {}

  @Locked((order: Order) => [order.id, 'all'])
  async fromSomeOfTheArguments(_order: Order, _by: string, _at?: Date) {}

  @Locked((first: string | number) => String(first))
  async fromAWiderType(_first: string) {}

  @Locked((first: string | undefined) => String(first))
  async fromAnOptionalArgument(_first?: string) {}

  @Locked(function (this: Accepted, id: string) {
    return `${this.shop}:${id}`;
  })
  async fromThis(_id: string) {}

  @Locked(() => 'k')
  async fromNothing(_id: string) {}

  @Locked('k', { onBusy: 'throw' })
  async throwing(): Promise<number> {
    return 1;
  }

  @Locked('k', { onBusy: 'skip' })
  async skipped(): Promise<void> {}

  @Locked('k', { onBusy: 'skip', minHold: '1m' })
  async skippedValue(): Promise<Order | undefined> {
    return undefined;
  }

  @Locked('k', { onBusy: 'skip' })
  skippedStream(): Observable<string> {
    return of('');
  }

  @Locked('k', { wait: 0, onBusy: ({ waitedMs, holder }) => waitedMs + (holder?.length ?? 0) })
  async fallback(): Promise<number> {
    return 1;
  }

  @Locked('k', { onBusy: async () => null })
  async laterFallback(): Promise<Order | null> {
    return null;
  }

  @Locked((order: Order) => order.id, { onBusy: ({ key }) => key })
  async functionsTogether(order: Order): Promise<string> {
    return order.id;
  }

  @Locked('k', { mode: 'shared' })
  async reader() {}

  @Locked('k', { mode: 'shared', limit: 1 })
  async readerByNumber() {}

  @Locked('k', { limit: 3 })
  async semaphore() {}

  @Locked('k', {
    wait: Infinity,
    ttl: '30s',
    renew: false,
    maxHold: '5m',
    minHold: 100,
    fair: true,
    backend: 'b',
    reentrant: false,
  })
  async everyOption() {}
}

const Nightly = (name: string) => applyDecorators(Cron('0 3 * * *'), Locked(`nightly:${name}`));
const OrderLock = (options?: LockedOptions): MethodDecorator => Locked('order:<id>', options);

export class Composed {
  @Nightly('report')
  async report() {}

  @OrderLock({ wait: 1, onBusy: 'skip' })
  async place(_id: string) {}
}

const patient: LockedOptions = { wait: '1m', onBusy: 'throw' };
const skipping: LockedOptions = { onBusy: 'skip', wait: 0 };
const surely = { onBusy: 'skip', wait: 0 } as const satisfies LockedOptions;

export class SharedOptions {
  @Locked('k', patient)
  async patient(): Promise<number> {
    return 1;
  }

  @Locked('k', skipping)
  async skipping(): Promise<void> {}

  @Locked('k', surely)
  async surely(): Promise<void> {}

  // @ts-expect-error a skipped call gives `undefined`
  @Locked('k', surely)
  async surelyNot(): Promise<number> {
    return 1;
  }

  @Locked('k', { onBusy: (_info, id: string) => id })
  async withArguments(id: string): Promise<string> {
    return id;
  }

  @Locked('k', {
    onBusy(this: SharedOptions, { key }) {
      return this.withArguments(key);
    },
  })
  async withThis(): Promise<string> {
    return '';
  }
}

/** What a test or another service may do with an election. */
export class Outbox {
  // Without `import type`, as a default application with `isolatedModules` has it.
  @Leader('outbox')
  async publish({ signal }: Leadership): Promise<void> {
    signal.throwIfAborted();
  }
}

export class Refused {
  // @ts-expect-error the method may be called with what the key function does not take
  @Locked((first: string) => first)
  async keyOfANarrowerType(_first: string | undefined) {}

  // @ts-expect-error the key function takes more than the method has
  @Locked((first: string, second: string) => first + second)
  async keyOfMoreArguments(_first: string) {}

  // @ts-expect-error a synchronous method cannot wait
  @Locked('k')
  synchronous(): number {
    return 1;
  }

  // @ts-expect-error nor can one that returns nothing
  @Locked('k')
  nothing(): void {}

  // @ts-expect-error nor can a getter
  @Locked('k')
  get getter(): number {
    return 1;
  }

  // @ts-expect-error a field is no method
  @Locked('k')
  field = async () => 1;

  // @ts-expect-error the key function takes a number, the method a string
  @Locked((id: number) => `${id}`)
  async wrongArgument(_id: string) {}

  // @ts-expect-error the second arguments differ
  @Locked((_id: string, at: Date) => at.toISOString())
  async wrongSecondArgument(_id: string, _at: string) {}

  // @ts-expect-error the object of the key function is another class
  @Locked(function (this: Accepted) {
    return this.shop;
  })
  async wrongThis() {}

  // @ts-expect-error a key is a string
  @Locked(7)
  async numberAsKey() {}

  // @ts-expect-error a key function gives a string
  @Locked((id: number) => id)
  async numberFromFunction(_id: number) {}

  // @ts-expect-error a key function is not async
  @Locked(async (id: string) => id)
  async asyncKey(_id: string) {}

  // @ts-expect-error shared locks have no limit
  @Locked('k', { mode: 'shared', limit: 3 })
  async limitedReaders() {}

  // @ts-expect-error no such mode
  @Locked('k', { mode: 'write' })
  async unknownMode() {}

  // @ts-expect-error no such option
  @Locked('k', { timeout: '5s' })
  async unknownOption() {}

  // @ts-expect-error no such unit
  @Locked('k', { wait: '5 parsecs' })
  async unknownUnit() {}

  // @ts-expect-error no such way
  @Locked('k', { onBusy: 'ignore' })
  async unknownOnBusy() {}

  // @ts-expect-error a skipped call gives `undefined`, which this method does not promise
  @Locked('k', { onBusy: 'skip' })
  async skippedWithoutSayingSo(): Promise<number> {
    return 1;
  }

  // @ts-expect-error the value is of another type
  @Locked('k', { onBusy: () => 'busy' })
  async wrongFallback(): Promise<number> {
    return 1;
  }

  // @ts-expect-error the value is of another type
  @Locked('k', { onBusy: async () => ({ id: 7 }) })
  async wrongLaterFallback(): Promise<Order> {
    return { id: '' };
  }

  // @ts-expect-error the method has no such argument
  @Locked('k', { onBusy: (_info, id: number) => id })
  async busyWithOtherArguments(_id: string): Promise<number> {
    return 1;
  }

  // @ts-expect-error the object of `onBusy` is another class
  @Locked('k', {
    onBusy(this: Accepted) {
      return 1;
    },
  })
  async busyWithOtherThis(): Promise<number> {
    return 1;
  }

  // @ts-expect-error the value is of another type than the stream's
  @Locked('k', { onBusy: () => 7 })
  wrongStreamFallback(): Observable<string> {
    return of('');
  }
}

export const modules = [
  DistributedLockModule.forRoot(),
  DistributedLockModule.forRoot({ isGlobal: false }),
  DistributedLockModule.forRoot({ backend: memory(), prefix: 'shop:', defaults: { wait: '5s' }, shutdownGrace: '30s' }),
  DistributedLockModule.forRoot({ backends: { fast: memory(), safe: memory() }, default: 'safe' }),
  DistributedLockModule.forRoot({ backends: { fast: memory() }, default: false }),
  // What a configuration gives is checked at boot.
  DistributedLockModule.forRoot({
    backend: memory(),
    defaults: { wait: process.env['LOCK_WAIT'] ?? '5s' },
    shutdownGrace: process.env['GRACE'] ?? '5s',
  }),
  // @ts-expect-error one or several, not both
  DistributedLockModule.forRoot({ backend: memory(), backends: { fast: memory() } }),
  // @ts-expect-error the default is one of them
  DistributedLockModule.forRoot({ backends: { fast: memory(), safe: memory() }, default: 'slow' }),
  // @ts-expect-error a default among one makes no sense
  DistributedLockModule.forRoot({ backend: memory(), default: 'fast' }),
  // @ts-expect-error a client is no backend
  DistributedLockModule.forRoot({ backend: { get: async () => null } }),

  DistributedLockModule.forRootAsync({ useFactory: () => ({ backend: memory() }) }),
  DistributedLockModule.forRootAsync({
    names: ['fast', 'safe'],
    inject: ['CONFIG'],
    useFactory: async (_config: string) => ({ backends: { fast: memory(), safe: memory() }, default: 'fast' }),
  }),
  // @ts-expect-error one way of making options
  DistributedLockModule.forRootAsync({ isGlobal: true }),
  // @ts-expect-error the factory gives options
  DistributedLockModule.forRootAsync({ useFactory: () => memory() }),
];
