import type { Type } from '@nestjs/common';
import { processWide } from '../process-wide.js';
import type { RouteLock } from './route-lock.js';

type Handler = (...args: never[]) => unknown;

const routeLocks = processWide('route-locks', () => new WeakMap<object, RouteLock>());

/** Remembers what an interceptor class locks, for the report at boot. */
export function noteRouteLock(interceptor: Type, lock: RouteLock): void {
  routeLocks.set(interceptor, lock);
}

/** Nest's own key for what `@UseInterceptors` was given; the constant is not exported, and the same in 11 and 12. */
const INTERCEPTORS = '__interceptors__';

/** What `@UseInterceptors` was given on a handler or a class. */
export function interceptorsOn(target: Type | Handler): readonly unknown[] {
  const interceptors: unknown = Reflect.getMetadata(INTERCEPTORS, target);
  return Array.isArray(interceptors) ? interceptors : [];
}

/** The locks that `@UseInterceptors` puts around a handler, or around all handlers of a class. */
export function routeLocksOn(target: Type | Handler): readonly RouteLock[] {
  return interceptorsOn(target).flatMap((interceptor) => {
    const lock = typeof interceptor === 'function' ? routeLocks.get(interceptor) : undefined;
    return lock === undefined ? [] : [lock];
  });
}
