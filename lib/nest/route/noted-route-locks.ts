import type { Type } from '@nestjs/common';
import type { RouteLock } from './route-lock.js';

type Handler = (...args: never[]) => unknown;

const routeLocks = new WeakMap<object, RouteLock>();

/** Remembers what an interceptor class locks, for the report at boot. */
export function noteRouteLock(interceptor: Type, lock: RouteLock): void {
  routeLocks.set(interceptor, lock);
}

/** Nest's own key for what `@UseInterceptors` was given; the constant is not exported, and the same in 11 and 12. */
const INTERCEPTORS = '__interceptors__';

/** The locks that `@UseInterceptors` puts around a handler, or around all handlers of a class. */
export function routeLocksOn(target: Type | Handler): readonly RouteLock[] {
  const interceptors: unknown = Reflect.getMetadata(INTERCEPTORS, target);
  if (!Array.isArray(interceptors)) return [];
  return interceptors.flatMap((interceptor: unknown) => {
    const lock = typeof interceptor === 'function' ? routeLocks.get(interceptor) : undefined;
    return lock === undefined ? [] : [lock];
  });
}
