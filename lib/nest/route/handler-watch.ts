import { AsyncLocalStorage } from 'node:async_hooks';
import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { type DeclaredMethod, type Method, methodsOf } from '../method/class-methods.js';
import { reuseValues } from '../key/route-arguments.js';
import { copyMetadata } from '../method/copy-metadata.js';
import { noteOriginal } from '../locked/locked-methods.js';
import { processWide } from '../service/process-wide.js';
import { ClientLeftException } from './client.js';
import { interceptorsOn } from './interceptors-on.js';

/**
 * The handler calls of one request, so that its lock stays on until they have ended.
 *
 * An interceptor cannot see this by itself: when something outside unsubscribes (a timeout, a client that leaves a gateway), the
 * stream that stands for the handler falls silent, and the handler runs on.
 */
export class HandlerWatch {
  #calls = 0;
  #running = 0;
  #given = false;
  #onIdle: (() => void) | undefined;

  /**
   * @param outer of a lock around this one, on the same handler
   * @param values what custom parameter decorators gave for the key, which the handler is to get too
   */
  constructor(
    private readonly outer?: HandlerWatch,
    private readonly values: ReadonlyMap<object, unknown> = new Map<object, unknown>(),
  ) {}

  /** The watch that the running code is under. Nest subscribes to what an interceptor returns later, and under none. */
  static current(): HandlerWatch | undefined {
    return storage.getStore();
  }

  /** What a custom parameter decorator gave for the key of this request, or of one around it. */
  given(factory: object): { readonly value: unknown } | undefined {
    return this.values.has(factory) ? { value: this.values.get(factory) } : this.outer?.given(factory);
  }

  /** Runs something whose handler calls count here. */
  run<T>(work: () => T): T {
    return storage.run(this, work);
  }

  /** Resolves when the handler has ended; `undefined` when it does not run. A handler that has not begun by now never begins. */
  over(): Promise<void> | undefined {
    this.#given = true;
    return this.#running === 0 ? undefined : new Promise((resolve) => (this.#onIdle = resolve));
  }

  call(handler: () => unknown): unknown {
    // Its pipes were still at work when the request was given up, and its lock may be gone.
    if (this.#given && this.#calls === 0) throw new ClientLeftException();
    this.#calls += 1;
    this.#running += 1;
    const settled = () => {
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle?.();
    };
    let result: unknown;
    try {
      result = this.outer === undefined ? handler() : this.outer.call(handler);
    } catch (error) {
      settled();
      throw error;
    }
    if (isThenable(result)) result.then(settled, settled);
    else settled();
    return result;
  }
}

const storage = processWide('handler-watch-2', () => new AsyncLocalStorage<HandlerWatch | undefined>());

/** On watched handlers; tracing tools that wrap handlers copy it. */
const WATCHED = 'nestjs-distributed-lock:watched';

/** Whether calls of this handler are told to the `HandlerWatch` around them. */
export function isWatched(handler: object): boolean {
  return Reflect.hasMetadata(WATCHED, handler);
}

/**
 * Has the handlers under an interceptor tell when they run. Must be called before Nest binds them, so when the interceptor is made.
 * An interceptor that stands on no class is a global one, and may stand around any handler.
 */
export function watchHandlers(application: ModulesContainer, interceptor: Type): void {
  const classes = [...application.values()]
    .flatMap(({ controllers, providers }) => [...controllers.values(), ...providers.values()])
    .flatMap(({ isNotMetatype, metatype }) => (isNotMetatype || typeof metatype !== 'function' ? [] : [metatype]))
    .filter(({ prototype }) => typeof prototype === 'object' && prototype !== null);
  // Nest's `Function` with a prototype is a class.
  const methods = classes.flatMap((each) =>
    methodsOf(each.prototype as object).map((method) => ({ ...method, class: each as Type })),
  );
  const under = methods.filter(
    (each) => interceptorsOn(each.method).includes(interceptor) || interceptorsOn(each.class).includes(interceptor),
  );
  for (const each of under.length > 0 ? under : methods) {
    if (watchHandler(each)) reuseValues(each.declaring, each.property, (factory) => storage.getStore()?.given(factory));
  }
}

/** Whether it was not watched before. */
function watchHandler({ declaring, property, method }: DeclaredMethod): boolean {
  // Nest knows handlers by their metadata; other methods are nobody's handlers.
  if (Reflect.getMetadataKeys(method).length === 0 || isWatched(method)) return false;
  const descriptor = Object.getOwnPropertyDescriptor(declaring, property);
  if (descriptor?.configurable !== true) return false;
  const watched: Method = function (...args) {
    const watch = storage.getStore();
    return watch === undefined ? method.apply(this, args) : watch.call(() => method.apply(this, args));
  };
  copyMetadata(watched, method, property);
  noteOriginal(watched, method);
  Reflect.defineMetadata(WATCHED, true, watched);
  Object.defineProperty(declaring, property, { ...descriptor, value: watched });
  return true;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
