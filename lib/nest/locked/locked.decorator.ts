import type { Observable, Subscribable } from 'rxjs';
import { serviceFor } from '../bypass.js';
import { compileKey, type LockKey, readableKey } from '../key/lock-key.js';
import { argumentResolver } from '../key/method-arguments.js';
import { DEFAULT_BACKEND } from '../lock.tokens.js';
import { busyAnswer } from './busy.js';
import { decoratedMethod } from './decorated-method.js';
import { disguise } from './disguise.js';
import type { LockedCall } from './guard.js';
import { lockedGenerator } from './locked-generator.js';
import { noteLockedMethod, noteOriginal, originalOf } from './locked-methods.js';
import { lockedPromise } from './locked-promise.js';
import { lockedStream } from './locked-stream.js';
import { acquireOptions, type AnyLockedOptions, type LockedOptions } from './locked.options.js';
import { methodShape } from './method-shape.js';
import { wire } from './wiring.js';

/** What a locked method returns: something that can come later. */
type Later = PromiseLike<unknown> | Subscribable<unknown> | AsyncIterable<unknown>;

type LockableMethod = (...args: never[]) => Later;

/** Not assignable from a descriptor, so that the compiler shows what does not fit. */
interface KeyDoesNotFit<Wanted, Given> {
  readonly keyFunctionTakes: Wanted;
  readonly butTheMethodIsCalledWith: Given;
}

/** The key function is called with the method's arguments: it may take wider types and fewer of them, never narrower or more. */
type FittingKey<Arguments extends readonly unknown[], Given extends readonly unknown[]> = ((
  ...args: Arguments
) => void) extends (...args: Given) => void
  ? unknown
  : KeyDoesNotFit<Arguments, Given>;

/** What the caller of the method ends up with. */
type ResultOf<Method> = Method extends (...args: never[]) => infer Result
  ? Result extends PromiseLike<infer Value>
    ? Value
    : Result extends Observable<infer Value>
      ? Value
      : Result extends AsyncIterable<infer Value>
        ? Value
        : unknown
  : never;

/** What `onBusy` puts in its place. A skipped stream is empty, a skipped promise gives `undefined`. */
type BusyResult<Method, Value, Way> =
  | Awaited<Value>
  | ('skip' extends Way ? (Method extends (...args: never[]) => PromiseLike<unknown> ? undefined : never) : never);

/** Not assignable from a descriptor, so that the compiler shows what does not fit. */
interface OnBusyDoesNotFit<Given, Promised> {
  readonly onBusyGives: Given;
  readonly butTheMethodPromises: Promised;
}

/** `object` takes in the function that `onBusy` may be instead, so that it does not fall back to what is left of this union. */
type OnBusyWay = 'throw' | 'skip' | object;

type FittingBusy<Given, Promised> = [Given] extends [Promised] ? unknown : OnBusyDoesNotFit<Given, Promised>;

/** The decorator that `Locked` makes: for methods that return a promise, an Observable or an async generator. */
export type LockedDecorator<Arguments extends readonly unknown[] = [], This = unknown, Value = never, Way = 'throw'> = <
  Method extends LockableMethod,
>(
  prototype: This & object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<Method> &
    FittingKey<Arguments, Parameters<Method>> &
    FittingBusy<BusyResult<Method, Value, Way>, ResultOf<Method>>,
) => void;

/**
 * Runs the method once at a time for each key, across all processes that share the backend. Works on every provider, controller,
 * resolver, gateway and handler that Nest makes; see `LockService.withLock` for functions and for objects of your own making.
 *
 * The key is a template over the arguments, an array of them to hold all together, or a function of the arguments (the always safe and
 * fully typed form):
 *
 * - `<id>` the argument of that name, or what `@LockParam('id')` or a decorator such as `@Param('id')` names;
 *   `<order.customer.id>` goes into it; `<0>`, `<0.id>` count instead.
 * - Names are resolved when the class is defined, and an unknown or ambiguous one throws there.
 * - Values are strings, finite numbers, bigints and booleans, percent-encoded. Anything else (`undefined`, `null`, objects and dates)
 *   throws `LockKeyError` and the method does not run. What a function gives is used as it is.
 *
 * The lock itself is at `currentLock()` inside the method. For an Observable the lock is acquired on subscribe and released when it
 * completes, fails or is unsubscribed; an async generator holds it from its first step to its last, and one that is left lying is held
 * until `maxHold`. A stream ends with `LockLostError` when its lock is lost.
 *
 * Put `@Locked` above `@Transactional`, so that the lock is released after the commit.
 *
 * @example
 * ```ts
 * @Locked('order:<id>', { wait: '5s' })
 * async place(id: string) {}
 *
 * @Locked((from: Account, to: Account) => [`account:${from.id}`, `account:${to.id}`])
 * async transfer(from: Account, to: Account, amount: bigint) {}
 *
 * @Cron('0 3 * * *')
 * @Locked('nightly-report', { onBusy: 'skip', minHold: '1m' })
 * async report(): Promise<void> {}
 * ```
 * @throws LockConfigurationError when the class is defined: on static methods, accessors and fields, and for keys that cannot work
 */
export function Locked<Value = never, Way extends OnBusyWay = 'throw'>(
  key: string | readonly string[],
  options?: LockedOptions<Value, Way>,
): LockedDecorator<[], unknown, Value, Way>;
export function Locked<Arguments extends readonly unknown[], This, Value = never, Way extends OnBusyWay = 'throw'>(
  key: (this: This, ...args: Arguments) => string | readonly string[],
  options?: LockedOptions<Value, Way>,
): LockedDecorator<Arguments, This, Value, Way>;
export function Locked(key: LockKey<never, never>, options: AnyLockedOptions = {}) {
  return (prototype: object, property: string | symbol, descriptor?: PropertyDescriptor): void => {
    const { method, where, replaceBy } = decoratedMethod(prototype, property, descriptor);
    const original = originalOf(method);
    const keysOf = compileKey(key, () => argumentResolver(prototype, property, original, where), where);
    const backend = options.backend ?? DEFAULT_BACKEND;
    const acquire = acquireOptions(options);
    const busy = busyAnswer(where, options.onBusy);

    const begin = (self: unknown, args: readonly unknown[]): LockedCall => {
      const service = serviceFor(self, backend, where);
      return { service, keys: keysOf(self, args), options: acquire, backend, where };
    };
    const wrappers = {
      promise: async function (this: unknown, ...args: unknown[]) {
        return lockedPromise(begin(this, args), () => method.apply(this, args), busy);
      },
      // The shape says what the method gives in the two below.
      observable: function (this: unknown, ...args: unknown[]) {
        const source = () => method.apply(this, args) as Observable<unknown>;
        return lockedStream(() => begin(this, args), source, busy);
      },
      generator: function (this: unknown, ...args: unknown[]) {
        const start = () => method.apply(this, args) as AsyncGenerator<unknown, unknown, unknown>;
        return lockedGenerator(() => begin(this, args), start, busy);
      },
    };

    const wrapper = wrappers[methodShape(prototype, property, original, where)];
    disguise(wrapper, method, property);
    wire(prototype);
    noteOriginal(wrapper, method);
    noteLockedMethod(prototype, property, { where, key: readableKey(key), backend, options });
    replaceBy(wrapper);
  };
}
