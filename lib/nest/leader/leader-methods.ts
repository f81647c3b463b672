import { Inject, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService, ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../../lock/errors.js';
import type { Leadership } from '../../engine/election/leader-term.js';
import { lockServiceOf } from '../application.js';
import { DEFAULT_BACKEND } from '../lock.tokens.js';
import { leaderMethodsOf, type NotedLeaderMethod } from './leader.decorator.js';

/** Has every `@Leader` method of the application called while it leads. */
export class LeaderMethods implements OnApplicationBootstrap {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModulesContainer) private readonly application: ModulesContainer,
  ) {}

  onApplicationBootstrap(): void {
    const seen = new Set<object>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const prototype: unknown = wrapper.metatype?.prototype;
      if (typeof prototype !== 'object' || prototype === null) continue;
      const [first, ...others] = leaderMethodsOf(prototype);
      if (first === undefined) continue;
      if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) {
        throw new LockConfigurationError(
          `${first.where} is @Leader, but its class is request-scoped or transient: there is no one object to call it on. ` +
            'Make it a default-scoped provider, which injects nothing request-scoped.',
        );
      }
      const instance: unknown = wrapper.instance;
      // `useExisting` and the like name one object twice.
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      for (const method of [first, ...others]) this.#stand(instance, method);
    }
  }

  #stand(
    instance: object,
    { name, options: { backend = DEFAULT_BACKEND, ...options }, property, where }: NotedLeaderMethod,
  ): void {
    const service = lockServiceOf(this.application, backend, where);
    service.leader(name, options).lead((leadership) => {
      // Found in the class body by its decorator, which checked its type.
      const method = (instance as Record<string | symbol, (leadership: Leadership) => unknown>)[property];
      return method?.call(instance, leadership);
    });
  }
}
