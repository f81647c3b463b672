import { Inject, Logger, type OnApplicationBootstrap, type Type } from '@nestjs/common';
import { APP_INTERCEPTOR, DiscoveryService, ModulesContainer } from '@nestjs/core';
import { LockConfigurationError, LockError } from '../lock/errors.js';
import { lockServicesOf, noBackend } from './service/application.js';
import { LockExceptionFilter } from './lock-exception.filter.js';
import { callsSuper, hiddenLocks } from './hidden-locks.js';
import { isHttpRoute } from './method/http-route.js';
import { methodsOf, prototypesOf } from './method/class-methods.js';
import { type LockedMethod, lockedMethodsOf } from './locked/locked-methods.js';
import { acquireOptions } from './locked/locked.options.js';
import { lockLifecyclesOf } from './service/lock-lifecycles.js';
import { onWired } from './service/wiring.js';
import { routeLockOf, routeLocksOn } from './route/noted-route-locks.js';
import type { RouteLock } from './route/route-lock.js';
import { type RunsInterceptors, runsInterceptors } from './route/runs-interceptors.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
type Method = (...args: never[]) => unknown;

/**
 * Looks at every lock of the application once after the start. It lists them, warns of locks that cannot work, and refuses to start with an
 * unknown backend or with an option that the backend cannot keep. It changes nothing.
 */
export class BootReport implements OnApplicationBootstrap {
  readonly #logger = new Logger('DistributedLockModule');
  /** Classes whose objects hide locks, as was told. */
  readonly #hiding = new WeakSet<object>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModulesContainer) private readonly application: ModulesContainer,
  ) {}

  onApplicationBootstrap(): void {
    const locks = new Set<LockedMethod>();
    const problems: string[] = [];
    const seen = new Set<object>();
    // Guards, pipes, interceptors and filters on classes and methods are neither providers nor controllers.
    const enhancers = [...this.application.values()].flatMap(({ injectables }) => [...injectables.values()]);
    const global = enhancers.concat(this.discovery.getProviders()).flatMap(({ token, metatype }) => {
      const lock = String(token).startsWith(APP_INTERCEPTOR) ? routeLockOf(metatype) : undefined;
      return lock === undefined ? [] : [lock];
    });
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers(), ...enhancers]) {
      const prototype = prototypeOf(wrapper);
      if (prototype === undefined) continue;
      // A value may be anything: nothing of it is read but the chain, unless its class has locks.
      this.#warnHidden(wrapper.instance);
      if (seen.has(prototype)) continue;
      seen.add(prototype);
      for (const lock of this.#methodLocks(prototype)) locks.add(lock);
      this.#warnDropped(prototype);
      if (!wrapper.isNotMetatype) {
        for (const lock of this.#routeLocks(wrapper.metatype as Type, prototype, global, problems)) locks.add(lock);
      }
    }
    // Objects that Nest makes from now on: for a request, in lazily loaded modules, by `ModuleRef.create`.
    onWired(this.application, (instance) => this.#warnHidden(instance));
    problems.push(...this.#check(locks));
    this.#warnOfShownMessages(locks);
    if (problems.length > 0) throw new LockConfigurationError(problems.join('\n'));
    const byBackend = new Map<string, number>();
    for (const { backend } of locks) byBackend.set(backend, (byBackend.get(backend) ?? 0) + 1);
    lockLifecyclesOf(this.application).reportBoot(byBackend);
  }

  /** GraphQL shows clients the message of every error, and ours name keys and hosts. */
  #warnOfShownMessages(locks: ReadonlySet<LockedMethod>): void {
    const modules = [...this.application.values()];
    if (locks.size === 0 || !modules.some(({ metatype }) => metatype.name === 'GraphQLModule')) return;
    const wrappers = modules.flatMap(({ providers, injectables }) => [...providers.values(), ...injectables.values()]);
    if (
      wrappers.some(({ metatype, instance }) => [metatype, Object(instance).constructor].includes(LockExceptionFilter))
    )
      return;
    this.#logger.warn(
      'GraphQL shows clients the messages of errors, and those of locks name keys and hosts. ' +
        'Provide { provide: APP_FILTER, useClass: LockExceptionFilter } to tell them no more than that the resource is in use.',
    );
  }

  /** Once for each class: request-scoped objects come by the thousand. */
  #warnHidden(instance: unknown): void {
    if (typeof instance !== 'object' || instance === null) return;
    const hidden = hiddenLocks(instance);
    if (hidden.length === 0) return;
    const { constructor } = instance;
    if (this.#hiding.has(constructor)) return;
    this.#hiding.add(constructor);
    for (const property of hidden) {
      this.#logger.warn(
        `${constructor.name}.${String(property)} has a lock, but its object has a member of that name, which is called instead: ` +
          'it runs without the lock. Leave the method on the class.',
      );
    }
  }

  /** The locks that calls to this class meet, with a warning for each that an override takes away. */
  #methodLocks(prototype: object): readonly LockedMethod[] {
    const chain = prototypesOf(prototype);
    return chain.flatMap((declaring, depth) =>
      [...lockedMethodsOf(declaring)].flatMap(([property, locks]) => {
        const override = chain.slice(0, depth).find((each) => Object.hasOwn(each, property));
        if (override === undefined) return locks;
        const overriding: unknown = Object.getOwnPropertyDescriptor(override, property)?.value;
        if (!lockedMethodsOf(override).has(property) && !callsSuper(overriding, property)) {
          this.#logger.warn(
            `${override.constructor.name}.${String(property)} overrides ${locks[0]?.where ?? ''} and drops its lock. ` +
              'Decorate the override with @Locked too, or call the method of `super` in it.',
          );
        }
        return [];
      }),
    );
  }

  /** An override is a handler only by decorators of its own, and has the interceptors that stand on it. */
  #warnDropped(prototype: object): void {
    const chain = prototypesOf(prototype);
    for (const { declaring, property, method } of methodsOf(prototype)) {
      if (!isHttpRoute(method) || routeLocksOn(method).length > 0) continue;
      const overridden = chain.slice(chain.indexOf(declaring) + 1).find((each) => {
        const value: unknown = Object.getOwnPropertyDescriptor(each, property)?.value;
        // A function found in a class body.
        return typeof value === 'function' && routeLocksOn(value as Method).length > 0;
      });
      if (overridden === undefined) continue;
      this.#logger.warn(
        `${declaring.constructor.name}.${String(property)} overrides ${overridden.constructor.name}.${String(property)} and drops its LockInterceptor. ` +
          'Put @UseInterceptors(LockInterceptor(…)) on the override too.',
      );
    }
  }

  /** The locks that `LockInterceptor` puts around the handlers of a class, and those that it cannot put around anything. */
  #routeLocks(
    controller: Type,
    prototype: object,
    global: readonly RouteLock[],
    problems: string[],
  ): readonly LockedMethod[] {
    const around = [...global, ...routeLocksOn(controller)];
    const handlers = new Set(
      prototypesOf(prototype)
        .flatMap((each) => Reflect.ownKeys(each))
        .flatMap((property): Method[] => {
          const handler = valueOf(prototype, property);
          return handler === undefined ? [] : [handler];
        }),
    );
    return [...handlers].flatMap((handler) => {
      const own = routeLocksOn(handler);
      const runs = runsInterceptors(controller, handler);
      if (own.length > 0 && runs !== 'always') this.#doubt(`${controller.name}.${handler.name}`, runs, problems);
      if (runs === 'never') return [];
      return (isHttpRoute(handler) ? [...around, ...own] : own).flatMap((lock) => {
        try {
          return [lock.describe(controller, handler)];
        } catch (error) {
          if (!(error instanceof LockError)) throw error;
          problems.push(error.message);
          return [];
        }
      });
    });
  }

  /** A lock that Nest never takes must not look like one. */
  #doubt(where: string, runs: Exclude<RunsInterceptors, 'always'>, problems: string[]): void {
    if (runs === 'never') {
      problems.push(
        `${where} has a LockInterceptor, and Nest runs no interceptors around jobs, event listeners and CQRS handlers: ` +
          'it would run without its lock. Use @Locked on the method.',
      );
    } else {
      this.#logger.warn(
        runs === 'if enabled'
          ? `${where} has a LockInterceptor, and GraphQL runs interceptors around fields only with \`fieldResolverEnhancers: ['interceptors']\`. ` +
              'Otherwise it runs without its lock; use @Locked on the method.'
          : `${where} has a LockInterceptor, but is no handler that Nest is known to run interceptors around: ` +
              'called as a plain method it runs without its lock. Use @Locked on the method.',
      );
    }
  }

  #check(locks: ReadonlySet<LockedMethod>): readonly string[] {
    const services = lockServicesOf(this.application);
    const problems: string[] = [];
    for (const { where, key, backend, options } of locks) {
      const service = services.get(backend);
      if (service === undefined) {
        problems.push(`${where}: ${noBackend(backend, services)}`);
        continue;
      }
      try {
        // A test may have put something of its own in its place.
        service.validate?.(acquireOptions(options));
        this.#logger.debug(`${where} locks ${key} on "${service.backend ?? backend}"`);
      } catch (error) {
        if (!(error instanceof LockError)) throw error;
        problems.push(`${where}: ${error.message}`);
      }
    }
    return problems;
  }
}

function prototypeOf({ isNotMetatype, metatype, instance }: Wrapper): object | undefined {
  // A value may be anything, such as an object without a prototype or a proxy: nothing of it is read but the chain.
  const value: unknown = isNotMetatype ? instance : undefined;
  const prototype: unknown = isNotMetatype
    ? typeof value === 'object' && value !== null && Object.getPrototypeOf(value)
    : metatype?.prototype;
  return typeof prototype === 'object' && prototype !== null ? prototype : undefined;
}

/** The method that a call would meet; getters are not run. */
function valueOf(prototype: object, property: string | symbol): Method | undefined {
  const owner = prototypesOf(prototype).find((each) => Object.hasOwn(each, property));
  const value: unknown = owner && Object.getOwnPropertyDescriptor(owner, property)?.value;
  // A function found in a class body.
  return typeof value === 'function' && property !== 'constructor' ? (value as Method) : undefined;
}
