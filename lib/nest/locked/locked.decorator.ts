import type { Observable, Subscribable } from 'rxjs';
import { LockKeyError } from '../../lock/errors.js';
import { serviceFor } from '../service/bypass.js';
import { compileKey, nameOfKey, readableKey } from '../key/lock-key.js';
import { argumentResolver } from '../key/method-arguments.js';
import { DEFAULT_BACKEND } from '../service/lock.tokens.js';
import { busyAnswer } from './busy.js';
import { decoratedMethod } from '../method/decorated-method.js';
import { copyMetadata } from '../method/copy-metadata.js';
import type { LockedCall } from './under-lock.js';
import { lockedGenerator } from './locked-generator.js';
import { noteLockedMethod, noteOriginal, originalOf } from './locked-methods.js';
import { lockedPromise } from './locked-promise.js';
import { lockedStream } from './locked-stream.js';
import { acquireOptions, type BusyInfo, type LockedOptions, type OnBusy } from './locked.options.js';
import { isHttpRoute } from '../method/http-route.js';
import { methodShape } from '../method/method-shape.js';
import { unusableRequest } from './unusable-request.js';
import { wire } from '../service/wiring.js';

/** What a locked method returns: something that can come later. */
type Later = PromiseLike<unknown> | Subscribable<unknown> | AsyncIterable<unknown>;

type KeyFunction = (this: never, ...args: never[]) => string | readonly string[];

/** What the caller of the method ends up with. */
type ResultOf<Result> =
  Result extends PromiseLike<infer Value>
    ? Value
    : Result extends Observable<infer Value>
      ? Value
      : Result extends AsyncIterable<infer Value>
        ? Value
        : unknown;

/** What `onBusy` puts in its place: a skipped promise gives `undefined`, a skipped stream is empty. */
type BusyResult<Busy, Result> =
  | (Busy extends (...args: never[]) => infer Value ? Awaited<Value> : never)
  | ('skip' extends Busy ? (Result extends PromiseLike<unknown> ? undefined : never) : never);

/** A function is called with the method's arguments: it may take wider types and fewer of them, never narrower or more. */
type Takes<Given, Arguments extends readonly unknown[]> = Given extends (...args: infer Wanted) => unknown
  ? ((...args: Wanted) => void) extends (...args: Arguments) => void
    ? true
    : false
  : true;

type ThisOf<Given> = Given extends (this: infer This, ...args: never[]) => unknown
  ? [This] extends [never]
    ? unknown
    : This
  : unknown;

/** Options that were declared elsewhere, as `LockedOptions`, may be busy in any way: then nothing can be compared. */
type BusyFits<Busy, Arguments extends readonly unknown[], Result> = OnBusy extends Busy
  ? unknown
  : Takes<Busy, [info: BusyInfo, ...args: Arguments]> extends true
    ? [BusyResult<Busy, Result>] extends [ResultOf<Result>]
      ? unknown
      : '@Locked: `onBusy` gives a value of another type than the method promises'
    : '@Locked: `onBusy` takes other arguments than the method has';

/** `unknown`, to which every method descriptor can be assigned, or a sentence, to which none can: the compiler shows it. */
type Fits<Method, Key, Busy> = Method extends (...args: infer Arguments) => infer Result
  ? [Result] extends [Later]
    ? Takes<Key, Arguments> extends true
      ? BusyFits<Busy, Arguments, Result>
      : '@Locked: the key function takes other arguments than the method has'
    : '@Locked: the method must return a promise, an Observable or an async generator'
  : '@Locked: only a method can be locked';

/**
 * The decorator that `Locked` makes: for methods that return a promise, an Observable or an async generator.
 *
 * It is also a `MethodDecorator`: where the name of the method is known as little as its type, nothing is compared.
 */
export type LockedDecorator<Key = string, Busy = OnBusy> = <Method, Name extends string | symbol>(
  prototype: ThisOf<Key> & ThisOf<Busy> & object,
  property: Name,
  descriptor: TypedPropertyDescriptor<Method> & (string extends Name ? unknown : Fits<Method, Key, Busy>),
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
 * ```ts
 * class Orders {@Locked('order:<id>', { wait: '5s' }) async place(id: string) {}}
 *
 * const accounts = (from: Account, to: Account) => [`account:${from.id}`, `account:${to.id}`];
 * class Bank {@Locked(accounts) async transfer(from: Account, to: Account, amount: bigint) {}}
 *
 * class Reports {@Cron('0 3 * * *')@Locked('nightly-report', { onBusy: 'skip', minHold: '1m' }) async write() {}}
 * ```
 *
 * @throws LockConfigurationError when the class is defined: on static methods, accessors and fields, and for keys that cannot work
 */
export function Locked<const Key extends string | readonly string[] | KeyFunction, Busy extends OnBusy>(
  key: Key,
  options: LockedOptions<Busy> = {},
): LockedDecorator<Key, Busy> {
  const decorator = (prototype: object, property: string | symbol, descriptor?: PropertyDescriptor): void => {
    const { method, where, replaceBy } = decoratedMethod(prototype, property, descriptor);
    const original = originalOf(method);
    const keysOf = compileKey(key, () => argumentResolver(prototype, property, original, where), where);
    const backend = options.backend ?? DEFAULT_BACKEND;
    const busyFor = busyAnswer(where, options.onBusy);
    const acquire = acquireOptions(options, { name: nameOfKey(key, where), method: where });

    // Values from a request that make no key are the client's; a function may fail by itself.
    const refused = (error: unknown) =>
      error instanceof LockKeyError &&
      typeof key !== 'function' &&
      isHttpRoute(Object.getOwnPropertyDescriptor(prototype, property)?.value)
        ? unusableRequest(error)
        : error;
    const begin = (self: unknown, args: readonly unknown[]): LockedCall => {
      const service = serviceFor(self, backend, where);
      try {
        return { service, keys: keysOf(self, args), options: acquire, backend, where, refused };
      } catch (error) {
        throw refused(error);
      }
    };
    const wrappers = {
      promise: async function (this: unknown, ...args: unknown[]) {
        return lockedPromise(begin(this, args), () => method.apply(this, args), busyFor(this, args));
      },
      // The shape says what the method gives in the two below.
      observable: function (this: unknown, ...args: unknown[]) {
        const source = () => method.apply(this, args) as Observable<unknown>;
        return lockedStream(() => begin(this, args), source, busyFor(this, args));
      },
      generator: function (this: unknown, ...args: unknown[]) {
        const start = () => method.apply(this, args) as AsyncGenerator<unknown, unknown, unknown>;
        return lockedGenerator(() => begin(this, args), start, busyFor(this, args));
      },
    };

    const wrapper = wrappers[methodShape(prototype, property, original, where)];
    copyMetadata(wrapper, method, property);
    wire(prototype);
    noteOriginal(wrapper, method);
    noteLockedMethod(prototype, property, { where, key: readableKey(key), backend, options });
    replaceBy(wrapper);
  };
  return decorator;
}
