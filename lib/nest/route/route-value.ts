import type { ExecutionContext } from '@nestjs/common';
import type { RouteArgument } from '../key/route-arguments.js';

/**
 * What an argument of a handler will be, read from the request as it came in: an interceptor runs before the pipes.
 *
 * The numbers are Nest's own for its parameter decorators, which it does not export; they differ by transport.
 */
export function routeValue({ kind, data, factory }: RouteArgument, context: ExecutionContext): unknown {
  if (kind === undefined) return factory?.(data, context);
  const source = sourceOf(kind, context);
  if (typeof data !== 'string' || data === '') return source;
  const isHeader = context.getType() === 'http' && kind === 6;
  return property(source, isHeader ? data.toLowerCase() : data);
}

function sourceOf(kind: number, context: ExecutionContext): unknown {
  const args: readonly unknown[] = context.getArgs();
  switch (context.getType<string>()) {
    case 'http':
      return httpSource(kind, args[0]);
    case 'rpc':
      // @Payload(), @Ctx()
      return kind === 3 ? args[0] : kind === 6 ? args[1] : undefined;
    case 'ws':
      // @ConnectedSocket(), @MessageBody()
      return kind === 0 ? args[0] : kind === 3 ? args[1] : undefined;
    case 'graphql':
      // @Root(), @Args(), @Context(), @Info()
      return kind === 0 ? args[0] : kind === 3 ? args[1] : kind === 1 ? args[2] : kind === 2 ? args[3] : undefined;
    default:
      return undefined;
  }
}

function httpSource(kind: number, request: unknown): unknown {
  switch (kind) {
    case 0:
      return request;
    case 3:
      return property(request, 'body');
    case 4:
      return property(request, 'query');
    case 5:
      return property(request, 'params');
    case 6:
      return property(request, 'headers');
    case 7:
      return property(request, 'session');
    case 10:
      return property(request, 'hosts');
    case 11:
      return property(request, 'ip');
    default:
      return undefined;
  }
}

function property(source: unknown, name: string): unknown {
  // Any property of any object may be asked for; what comes out is checked before it is used.
  return typeof source === 'object' && source !== null
    ? (source as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
