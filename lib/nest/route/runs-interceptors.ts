import type { Type } from '@nestjs/common';

type Handler = (...args: never[]) => unknown;

/** Whether Nest runs interceptors around a method, as far as its decorators tell. */
export type RunsInterceptors = 'always' | 'never' | 'if enabled' | 'unknown';

/** Nest's own keys for handlers; none of the constants is exported, and they are the same in 11 and 12. */
const HANDLERS = [
  'path',
  'microservices:pattern',
  'websockets:message_mapping',
  'graphql:resolver_type',
  'graphql:resolve_reference',
];
/** GraphQL runs enhancers of fields only with `fieldResolverEnhancers`. */
const FIELD = 'graphql:resolve_property';
const CALLED_DIRECTLY = ['SCHEDULER_TYPE', 'EVENT_LISTENER_METADATA', '__saga__'];
const CLASSES_CALLED_DIRECTLY = ['__commandHandler__', '__queryHandler__', '__eventsHandler__'];

export function runsInterceptors(declaring: Type, handler: Handler): RunsInterceptors {
  if (HANDLERS.some((key) => Reflect.hasMetadata(key, handler))) return 'always';
  if (Reflect.hasMetadata(FIELD, handler)) return 'if enabled';
  if (CALLED_DIRECTLY.some((key) => Reflect.hasMetadata(key, handler))) return 'never';
  return CLASSES_CALLED_DIRECTLY.some((key) => Reflect.hasMetadata(key, declaring)) ? 'never' : 'unknown';
}
