import { type CallHandler, type ExecutionContext, Logger, type Type } from '@nestjs/common';
import { defer, finalize, isObservable, lastValueFrom, map, type Observable } from 'rxjs';
import type { WithLockOptions } from '../../engine/engine.js';
import { onAbort } from '../../engine/time/abort.js';
import { LockConfigurationError, LockKeyError } from '../../lock/errors.js';
import type { Lock } from '../../lock/lock.js';
import type { Application } from '../service/application.js';
import { serviceIn } from '../service/bypass.js';
import { methodsOf } from '../method/class-methods.js';
import { compileKey, type LockKey, nameOfKey, readableKey } from '../key/lock-key.js';
import { argumentResolver } from '../key/method-arguments.js';
import { type RouteArgument, routeArguments } from '../key/route-arguments.js';
import { type BusyAnswer, busyAnswer } from '../locked/busy.js';
import { nameOf } from '../method/copy-metadata.js';
import { type LockedMethod, originalOf } from '../locked/locked-methods.js';
import { stayUnder } from '../locked/held.js';
import { unusableRequest } from '../locked/unusable-request.js';
import { isAsyncIterable, lasting } from '../locked/lasting.js';
import { lockedStream } from '../locked/locked-stream.js';
import { acquireOptions, type BusyInfo, type LockedOptions } from '../locked/locked.options.js';
import { DEFAULT_BACKEND } from '../service/lock.tokens.js';
import { clientSignal, type OutgoingResponse, responseOf } from './client.js';
import { HandlerWatch, isWatched } from './handler-watch.js';
import { routeValue } from './route-value.js';

type Handler = (...args: never[]) => unknown;

/** Its `onBusy` function is called with what is known of the busy key, and the `ExecutionContext`. */
export type LockInterceptorOptions = LockedOptions<
  'throw' | 'skip' | ((info: BusyInfo, context: ExecutionContext) => unknown)
> & {
  /**
   * How long the lock stays on: until the handler has given its result, or until the HTTP response has gone out to its end (files,
   * streams, server-sent events, `@Res()`). Other transports know no difference.
   *
   * @default 'handler'
   */
  readonly hold?: 'handler' | 'response';
};

interface RequestKeys {
  readonly keys: readonly string[];
  readonly values?: ReadonlyMap<object, unknown>;
}

/** What is worked out for a handler once. */
interface Route {
  /** The keys of one request, and what custom parameter decorators gave for them. */
  readonly keysOf: (context: ExecutionContext) => Promise<RequestKeys>;
  /** What `onBusy` gives for one request. */
  readonly busyFor: (self: unknown, args: readonly unknown[]) => BusyAnswer;
  readonly options: WithLockOptions;
}

/** What one `LockInterceptor(…)` locks, on whichever handlers it stands. */
export class RouteLock {
  readonly #routes = new WeakMap<object, Route>();
  readonly #hold: LockInterceptorOptions['hold'];
  readonly #options: LockedOptions;
  readonly #logger = new Logger('LockInterceptor');

  constructor(
    private readonly key: LockKey<[context: ExecutionContext]>,
    { hold = 'handler', ...options }: LockInterceptorOptions,
  ) {
    this.#hold = hold;
    this.#options = options;
  }

  /**
   * Works out the key for one handler; at boot for every route, so that nothing that is wrong waits for the first request.
   *
   * @throws LockConfigurationError
   */
  describe(controller: Type, handler: Handler): LockedMethod {
    this.#routeOf(controller, handler);
    return {
      where: whereOf(controller, handler),
      key: readableKey(this.key),
      backend: this.#options.backend ?? DEFAULT_BACKEND,
      options: this.#options,
    };
  }

  async intercept(
    application: Application,
    context: ExecutionContext,
    next: CallHandler<unknown>,
  ): Promise<Observable<unknown>> {
    const backend = this.#options.backend ?? DEFAULT_BACKEND;
    const outer = HandlerWatch.current();
    // Nest's `Function` is the handler that it calls.
    const handler = context.getHandler() as Handler;
    const where = whereOf(context.getClass(), handler);
    const service = serviceIn(application, backend, where);
    const { keysOf, busyFor, options } = this.#routeOf(context.getClass(), handler);
    const busy = busyFor(undefined, [context]);
    const refused = (error: unknown) => (this.#isTheRequests(error, context) ? unusableRequest(error) : error);
    const { keys, values } = await keysOf(context).catch((error: unknown) => {
      throw refused(error);
    });
    const call = { service, keys, options, backend, where, refused };

    return defer(() => {
      const client = clientSignal(context);
      const response = this.#hold === 'response' ? responseOf(context) : undefined;
      const watch = new HandlerWatch(outer, values);
      const reading: Promise<unknown>[] = [];
      const handle = (lock: Lock) => {
        // From here on the handler decides what a client that leaves means to it.
        client.stop();
        const handled = watch.run(() => next.handle());
        if (response !== undefined) return handled;
        return handled.pipe(map((value) => (isReadInSteps(value) ? keptOpen(value, lock, where, reading) : value)));
      };
      // Nest answers with the last value of the stream, so a skipped handler has one too.
      const answer: BusyAnswer = async (outcome) => {
        const [given] = await busy(outcome);
        return [isObservable(given) ? await lastValueFrom(given, { defaultValue: undefined }) : given];
      };
      const stay = (lock: Lock) => {
        const handled = watch.over();
        // Lost already, it is told as any other loss, before a response.
        if (lock.signal.aborted) return handled;
        if (response === undefined) return reading.length === 0 ? handled : Promise.all([handled, ...reading]);
        const stop = onAbort(lock.signal, () => this.#cut(response, lock, where));
        return Promise.all([handled, response.over]).finally(stop);
      };
      return lockedStream(() => call, handle, answer, {
        stay,
        signal: client.signal,
        lingers: !isWatched(handler),
      }).pipe(finalize(client.stop));
    });
  }

  /** A template reads the raw request, so a value that makes no key is the client's. A function may fail by itself. */
  #isTheRequests(error: unknown, context: ExecutionContext): boolean {
    return error instanceof LockKeyError && typeof this.key !== 'function' && context.getType() === 'http';
  }

  /** Its client must not take what went out so far for the whole, and the handler's own promise is long over. */
  #cut(response: OutgoingResponse, lock: Lock, where: string): void {
    // A lock is lost with an error.
    const reason = lock.signal.reason as Error;
    this.#logger.warn(
      `${where} lost its lock while its response went out, so the connection was ended. ${reason.message}`,
    );
    response.cut(reason);
  }

  #routeOf(controller: Type, handler: Handler): Route {
    const known = this.#routes.get(handler);
    if (known !== undefined) return known;
    const where = whereOf(controller, handler);
    const hold = this.#hold;
    if (hold !== 'handler' && hold !== 'response') {
      throw new LockConfigurationError(
        `${where}: \`hold\` of LockInterceptor is ${JSON.stringify(hold)}; it is 'handler' or 'response'.`,
      );
    }
    const busyFor = busyAnswer(where, this.#options.onBusy);
    const options = acquireOptions(this.#options, { name: nameOfKey(this.key, where), method: where });
    const route = { keysOf: this.#keysOf(controller, handler, where), busyFor, options };
    this.#routes.set(handler, route);
    return route;
  }

  #keysOf(controller: Type, handler: Handler, where: string): Route['keysOf'] {
    const wanted = new Map<number, RouteArgument>();
    const keysOf = compileKey(this.key, () => resolverFor(controller, handler, where, wanted), where);
    if (typeof this.key === 'function') return async (context) => ({ keys: keysOf(undefined, [context]) });
    return async (context) => {
      const values: unknown[] = [];
      const custom = new Map<object, unknown>();
      for (const [index, argument] of wanted) {
        values[index] = await routeValue(argument, context);
        if (argument.factory !== undefined) custom.set(argument.factory, values[index]);
      }
      return { keys: keysOf(undefined, values), values: custom };
    };
  }
}

/** A result that the framework asks for step by step: the handler's work goes on until then. Files are what `hold` is about. */
function isReadInSteps(value: unknown): value is AsyncIterable<unknown> {
  return isAsyncIterable(value) && !('pipe' in value) && !(value instanceof ReadableStream);
}

function keptOpen(value: AsyncIterable<unknown>, lock: Lock, where: string, reading: Promise<unknown>[]): unknown {
  let kept: unknown;
  const read: Promise<void> = stayUnder(
    lock,
    () => read,
    (held) => (kept = lasting(value, held, where)),
  );
  // Its failure goes to whoever reads it.
  reading.push(read.catch(() => undefined));
  return kept;
}

/** As for `@Locked`, and the argument must be one that Nest takes from the request. */
function resolverFor(controller: Type, handler: Handler, where: string, wanted: Map<number, RouteArgument>) {
  const { prototype, property, method } = declarationOf(controller, handler);
  const resolve = argumentResolver(prototype, property, originalOf(method), where);
  const routed = routeArguments(prototype, property);
  return (name: string, template: string) => {
    const { index } = resolve(name, template);
    const argument = routed.find((each) => each.index === index);
    if (argument === undefined) {
      throw new LockConfigurationError(
        `${where}: \`<${name}>\` in the lock key \`${template}\` names a parameter that is not taken from the request. ` +
          'Decorate it with @Param(), @Body(), @Query() or the like, or give a function of the ExecutionContext.',
      );
    }
    wanted.set(index, argument);
    return { index, rest: false };
  };
}

/**
 * Which class of the chain has the handler, under which name, and as it stands there: decorators leave their notes by class and name.
 * Tracing tools hand over a wrapper of their own at request time, which has the name but not the parameters.
 */
function declarationOf(
  controller: Type,
  handler: Handler,
): { prototype: object; property: string | symbol; method: Handler } {
  // The prototype of a class is an object, whatever TypeScript thinks of it.
  const methods = methodsOf(controller.prototype as object);
  const found =
    methods.find(({ method }) => method === handler) ??
    methods.find(({ property }) => nameOf(property) === handler.name);
  if (found === undefined) {
    return { prototype: controller.prototype as object, property: handler.name, method: handler };
  }
  return { prototype: found.declaring, property: found.property, method: found.method };
}

function whereOf(controller: Type, handler: Handler): string {
  return `${controller.name}.${handler.name}`;
}
