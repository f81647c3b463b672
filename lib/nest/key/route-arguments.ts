import type { ExecutionContext } from '@nestjs/common';

/** What Nest notes for `@Param('id') id`, `@Body() dto`, `@Args('id') id` and the like. */
export interface RouteArgument {
  readonly index: number;
  /** Nest's number for the kind of parameter decorator; `undefined` for a custom one. */
  readonly kind: number | undefined;
  /** What the decorator was given: `'id'` of `@Param('id')`. */
  readonly data: unknown;
  /** Of a custom parameter decorator. */
  readonly factory: ((data: unknown, context: ExecutionContext) => unknown) | undefined;
}

/** Nest's own key for it; the constant is not exported, and the same in 11 and 12. */
const ROUTE_ARGUMENTS = '__routeArguments__';

/** All parameters of a handler that Nest fills; parameter decorators have run when a method decorator looks. */
export function routeArguments(prototype: object, property: string | symbol): readonly RouteArgument[] {
  const noted: unknown = Reflect.getMetadata(ROUTE_ARGUMENTS, prototype.constructor, property);
  if (typeof noted !== 'object' || noted === null) return [];
  return Object.entries(noted).flatMap(([key, value]: [string, unknown]) => {
    if (typeof value !== 'object' || value === null || !('index' in value) || typeof value.index !== 'number')
      return [];
    const kind = Number.parseInt(key, 10);
    return [
      {
        index: value.index,
        kind: /^\d+:\d+$/.test(key) ? kind : undefined,
        data: 'data' in value ? value.data : undefined,
        factory:
          // Nest's own record of a function that `createParamDecorator` was given.
          'factory' in value && typeof value.factory === 'function'
            ? (value.factory as RouteArgument['factory'])
            : undefined,
      },
    ];
  });
}
