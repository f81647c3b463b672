import {
  type BeforeApplicationShutdown,
  Inject,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { DiscoveryService, ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../../lock/errors.js';
import type { Leadership } from '../../engine/election/leader-term.js';
import { lockServiceOf } from '../service/application.js';
import { lockLifecyclesOf } from '../service/lock-lifecycles.js';
import { DEFAULT_BACKEND } from '../service/lock.tokens.js';
import { onWired } from '../service/wiring.js';
import { leaderMethodsOf, type NotedLeaderMethod } from './leader.decorator.js';

/** Below the root module, whose distance is 1. */
const BELOW_ALL = -1;
/** Modules that came with the application have a distance from 1 on; that of a lazily loaded one is never worked out. */
const LATE = 0;

/**
 * Has every `@Leader` method of the application called while it leads.
 *
 * Nest starts modules from the far ones to the root and ends them the other way round. This one goes below the root: so nobody leads
 * before all hooks of the start have passed, and leaders end before the first `onModuleDestroy` takes anything that they need.
 */
export class LeaderMethods
  implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  readonly #logger = new Logger('LeaderElection');
  readonly #instances = new WeakSet<object>();
  /** Which class leads already, by the method. */
  readonly #leading = new Map<string, unknown>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModulesContainer) private readonly application: ModulesContainer,
  ) {
    const own = [...application.values()].find(({ providers }) => providers.has(LeaderMethods));
    if (own === undefined) return;
    if (own.distance === LATE) this.#startLate();
    else own.distance = BELOW_ALL;
  }

  onApplicationBootstrap(): void {
    this.#lead();
    lockLifecyclesOf(this.application).open();
  }

  async onModuleDestroy(): Promise<void> {
    await lockLifecyclesOf(this.application).beginShutdown();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await lockLifecyclesOf(this.application).beforeApplicationShutdown();
  }

  async onApplicationShutdown(): Promise<void> {
    await lockLifecyclesOf(this.application).onApplicationShutdown();
  }

  /** The lock module was loaded lazily. Nest calls no hooks of such modules, so a provider in one that came with the application does. */
  #startLate(): void {
    const host = [...this.application.values()].find(({ distance }) => distance !== LATE);
    host?.addProvider({
      provide: Symbol('nestjs-distributed-lock:late'),
      useValue: {
        onModuleDestroy: () => this.onModuleDestroy(),
        beforeApplicationShutdown: () => this.beforeApplicationShutdown(),
        onApplicationShutdown: () => this.onApplicationShutdown(),
      },
    });
    // When the module has been loaded.
    setImmediate(() => {
      try {
        this.#lead();
      } catch (error) {
        this.#logger.error(error);
      }
      lockLifecyclesOf(this.application).openLate();
    });
  }

  #lead(): void {
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const instance: unknown = wrapper.instance;
      const prototype: unknown = wrapper.isNotMetatype
        ? typeof instance === 'object' && instance !== null && Object.getPrototypeOf(instance)
        : wrapper.metatype?.prototype;
      if (typeof prototype !== 'object' || prototype === null) continue;
      const [first] = leaderMethodsOf(prototype);
      if (first === undefined) continue;
      if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) {
        throw new LockConfigurationError(
          `${first.where} is @Leader, but its class is request-scoped or transient: there is no one object to call it on. ` +
            'Make it a default-scoped provider, which injects nothing request-scoped.',
        );
      }
      if (typeof instance === 'object' && instance !== null) this.#stand(instance);
    }
    // Objects that Nest makes later: in lazily loaded modules, and by `ModuleRef.create`.
    onWired(this.application, (instance) => setImmediate(() => this.#standLate(instance)));
  }

  #standLate(instance: object): void {
    try {
      this.#stand(instance);
    } catch (error) {
      this.#logger.error(error);
    }
  }

  /** Once for each object, though `useExisting` and the like name it twice, and once for each class, though two modules provide it. */
  #stand(instance: object): void {
    if (this.#instances.has(instance)) return;
    this.#instances.add(instance);
    for (const method of leaderMethodsOf(Object.getPrototypeOf(instance) as object)) {
      const { where, backend } = { backend: DEFAULT_BACKEND, ...method.options, where: method.where };
      const office = `${where} ${backend} ${method.name}`;
      if (this.#leading.get(office) === instance.constructor) {
        this.#logger.warn(
          `${instance.constructor.name} is provided more than once, and ${where} is @Leader: only the first of its objects leads. ` +
            'Provide the class in one module, which exports it to the others.',
        );
        continue;
      }
      this.#leading.set(office, instance.constructor);
      this.#leadOn(instance, method);
    }
  }

  #leadOn(
    instance: object,
    { name, options: { backend = DEFAULT_BACKEND, ...options }, property, where }: NotedLeaderMethod,
  ): void {
    const service = lockServiceOf(this.application, backend, where);
    if (typeof service.leader !== 'function') {
      // A test put something of its own in its place.
      this.#logger.debug(
        `${where} is @Leader, but LockService is overridden by something without leader(): it never leads.`,
      );
      return;
    }
    service.leader(name, options).lead((leadership) => {
      // Found in the class body by its decorator, which checked its type.
      const method = (instance as Record<string | symbol, (leadership: Leadership) => unknown>)[property];
      return method?.call(instance, leadership);
    });
  }
}
