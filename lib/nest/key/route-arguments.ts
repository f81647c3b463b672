import type { ExecutionContext } from '@nestjs/common';

/** The metadata that Nest keeps for `@Param('id') id`, `@Body() dto`, `@Args('id') id` and the like. */
export interface RouteArgument {
  readonly index: number;
  /** Nest's number for the kind of parameter decorator; `undefined` for a custom one. */
  readonly kind: number | undefined;
  /** The decorator's argument: `'id'` of `@Param('id')`. */
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

/**
 * Has the custom parameter decorators of a handler give what they gave before in the same request, where that is known: Nest calls them for
 * the handler, and the lock's key has called them before. One that makes a new value for each call would lock for one and work for another.
 *
 * Must be called before Nest binds the handler.
 */
export function reuseValues(
  prototype: object,
  property: string | symbol,
  given: (factory: object) => { readonly value: unknown } | undefined,
): void {
  const noted: unknown = Reflect.getMetadata(ROUTE_ARGUMENTS, prototype.constructor, property);
  for (const argument of Object.values(Object(noted) as Record<string, { factory?: RouteArgument['factory'] }>)) {
    const { factory } = argument;
    if (typeof factory !== 'function') continue;
    const once: NonNullable<typeof factory> = (data, context) => {
      const known = given(once);
      return known === undefined ? factory(data, context) : known.value;
    };
    argument.factory = once;
  }
}
