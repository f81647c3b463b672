import { LockConfigurationError } from '../../lock/errors.js';

/** How a method gives its result, and so how long it needs its lock. */
export type MethodShape = 'promise' | 'observable' | 'generator';

/**
 * Told when the class is defined: by the kind of function, and for a stream by the declared return type, since a call may not
 * begin before it has its lock.
 *
 * @throws LockConfigurationError for a method that cannot wait
 */
export function methodShape(
  prototype: object,
  property: string | symbol,
  method: (...args: never[]) => unknown,
  where: string,
): MethodShape {
  switch (method.constructor.name) {
    case 'AsyncFunction':
      return 'promise';
    case 'AsyncGeneratorFunction':
      return 'generator';
    case 'GeneratorFunction':
      throw new LockConfigurationError(
        `${where} is a synchronous generator, which cannot wait for a lock. Make it an \`async *\` generator.`,
      );
    default:
      return returnsObservable(Reflect.getMetadata('design:returntype', prototype, property))
        ? 'observable'
        : 'promise';
  }
}

/** By name too: an application may have a second copy of rxjs. */
function returnsObservable(type: unknown): boolean {
  return (
    typeof type === 'function' &&
    (/^(?:Connectable)?Observable$|Subject$/.test(type.name) || 'subscribe' in Object(type.prototype))
  );
}
