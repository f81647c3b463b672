import type { Type } from '@nestjs/common';

export type Handler = (...args: never[]) => unknown;

/** Nest's own key for what `@UseInterceptors` was given; the constant is not exported, and the same in 11 and 12. */
const INTERCEPTORS = '__interceptors__';

/** What `@UseInterceptors` was given on a handler or a class. */
export function interceptorsOn(target: Type | Handler): readonly unknown[] {
  const interceptors: unknown = Reflect.getMetadata(INTERCEPTORS, target);
  return Array.isArray(interceptors) ? interceptors : [];
}
