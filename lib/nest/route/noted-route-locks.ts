import type { Type } from '@nestjs/common';
import { processWide } from '../service/process-wide.js';
import { type Handler, interceptorsOn } from './interceptors-on.js';
import type { RouteLock } from './route-lock.js';

const routeLocks = processWide('route-locks', () => new WeakMap<object, RouteLock>());

/** Remembers what an interceptor class locks, for the report at boot. */
export function noteRouteLock(interceptor: Type, lock: RouteLock): void {
  routeLocks.set(interceptor, lock);
}

/** What an interceptor class locks, if it is one of ours. */
export function routeLockOf(interceptor: unknown): RouteLock | undefined {
  return typeof interceptor === 'function' ? routeLocks.get(interceptor) : undefined;
}

/** The locks that `@UseInterceptors` puts around a handler, or around all handlers of a class. */
export function routeLocksOn(target: Type | Handler): readonly RouteLock[] {
  return interceptorsOn(target).flatMap((interceptor) => {
    const lock = routeLockOf(interceptor);
    return lock === undefined ? [] : [lock];
  });
}
