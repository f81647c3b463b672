import { Inject } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../../lock/errors.js';
import type { Application } from './application.js';
import { processWide } from './process-wide.js';

/** By global symbol, for two copies of this package in one process. */
const APPLICATION = Symbol.for('nestjs-distributed-lock:application');

/** Instances that froze themselves before Nest could tell them. */
const frozen = new WeakMap<object, Application>();

/**
 * Has Nest tell each instance of the class which application it belongs to, by a hidden property that is injected once for a class
 * with any number of locked methods, and for its subclasses.
 *
 * It is not enumerable, so that nothing shows when an instance is printed, compared, spread or serialised. And it is the instance's
 * own, because tools put proxies around instances and call methods now on the one, now on the other: a proxy hands a property on,
 * where a map beside the instances would know only one of the two.
 */
export function wire(prototype: object): void {
  if (APPLICATION in prototype) return;
  Object.defineProperty(prototype, APPLICATION, {
    get(this: object) {
      return frozen.get(this);
    },
    set(this: object, value: Application) {
      if (!Reflect.defineProperty(this, APPLICATION, { value, writable: true, configurable: true }))
        frozen.set(this, value);
      for (const listener of listeners.get(value) ?? []) listener(this);
    },
  });
  Inject(ModulesContainer)(prototype, APPLICATION);
}

const listeners = processWide('wired-listeners', () => new WeakMap<Application, ((instance: object) => void)[]>());

/** Calls the listener for every object of a wired class that Nest makes in this application from now on. */
export function onWired(application: Application, listener: (instance: object) => void): void {
  listeners.set(application, [...(listeners.get(application) ?? []), listener]);
}

/** For an object of a wired class that Nest did not make. `undefined`: it belongs to none any more. */
export function wireInstance(instance: object, application: Application | undefined): void {
  if (application === undefined) frozen.delete(instance);
  // Taken by the accessor of `wire`; by the property that it made, the second time.
  Reflect.set(instance, APPLICATION, application);
}

/** The application that the instance belongs to, if any. */
export function knownApplicationOf(instance: unknown): Application | undefined {
  return typeof instance === 'object' && instance !== null ? read(instance) : undefined;
}

/** @throws LockConfigurationError when Nest did not make the instance, or has not finished it */
export function applicationOf(instance: unknown, where: string): Application {
  if (typeof instance !== 'object' || instance === null) {
    throw new LockConfigurationError(
      `${where} was called without its object, so it cannot find its lock and did not run. ` +
        'A method that is handed on needs its `this`: `() => orders.place()` or `orders.place.bind(orders)`.',
    );
  }
  const application = read(instance);
  if (application !== undefined) return application;
  throw new LockConfigurationError(
    `${where} cannot find its lock and did not run: this object was not made by Nest (\`new\`, or a \`useFactory\` for each request), ` +
      'or its constructor is not through yet. List the class under `providers` or `controllers`, or call LockService.withLock() instead of @Locked.',
  );
}

function read(instance: object): Application | undefined {
  // Only `wire` defines this symbol, and only Nest writes to it.
  return (instance as { readonly [APPLICATION]?: Application })[APPLICATION];
}
