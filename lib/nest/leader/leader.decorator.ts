import type { LeaderOptions } from '../../engine/election/leader-election.js';
import type { Leadership } from '../../engine/election/leader-term.js';
import { decoratedMethod } from '../method/decorated-method.js';
import { wire } from '../service/wiring.js';
import { processWide } from '../service/process-wide.js';

/** How the processes that run a `@Leader` method stand for election, and on which backend. */
export interface LeaderMethodOptions extends LeaderOptions {
  /** The backend's name in the module. @default the module's default backend */
  readonly backend?: string;
}

type LeaderMethod = (leadership: Leadership) => unknown;

/**
 * Runs the method while this process leads: it is called at the beginning of each term, with the leadership, and ends when
 * `leadership.signal` aborts. See `LeaderElection` for what that promises, and `LeaderElection.lead` for a method that settles or fails
 * before. Works on every provider and controller that is not request-scoped or
 * transient, objects from `useFactory` and `useValue` and lazily loaded modules included. A class that two modules provide leads once.
 *
 * ```ts
 * class Outbox {@Leader('outbox') async publish({ signal, fencingToken }: Leadership) {
 *   while (!signal.aborted) await this.publishBatch(fencingToken, signal);
 * } }
 * ```
 */
export function Leader(name: string, options: LeaderMethodOptions = {}) {
  return <Method extends LeaderMethod>(
    prototype: object,
    property: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    const { where } = decoratedMethod(prototype, property, descriptor, '@Leader');
    wire(prototype);
    const methods = byPrototype.get(prototype) ?? [];
    byPrototype.set(prototype, [...methods, { name, options, property, where }]);
  };
}

export interface NotedLeaderMethod {
  readonly name: string;
  readonly options: LeaderMethodOptions;
  readonly property: string | symbol;
  /** Such as `Outbox.publish`, for messages. */
  readonly where: string;
}

const byPrototype = processWide('leader-methods', () => new WeakMap<object, readonly NotedLeaderMethod[]>());

/** Those of the class and of what it inherits, each once. */
export function leaderMethodsOf(prototype: object): readonly NotedLeaderMethod[] {
  const found = new Map<string | symbol, NotedLeaderMethod>();
  for (let each: object | null = prototype; each !== null; each = Object.getPrototypeOf(each)) {
    for (const method of byPrototype.get(each) ?? [])
      if (!found.has(method.property)) found.set(method.property, method);
  }
  return [...found.values()];
}
