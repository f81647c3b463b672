import { LockConfigurationError } from '../../lock/errors.js';

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** What a method decorator is given, once it is sure to be one. */
export interface DecoratedMethod {
  readonly method: Method;
  /** Such as `Orders.place`, for messages. */
  readonly where: string;
  replaceBy(wrapper: Method): void;
}

/** @throws LockConfigurationError on static methods, accessors, fields, and without `experimentalDecorators` */
export function decoratedMethod(
  prototype: object,
  property: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  decorator = '@Locked',
): DecoratedMethod {
  if (typeof property === 'object') {
    throw new LockConfigurationError(
      `${decorator}, as all of Nest, needs \`experimentalDecorators: true\` (and \`emitDecoratorMetadata: true\`) in tsconfig.json.`,
    );
  }
  const isStatic = typeof prototype === 'function';
  const where = `${isStatic ? prototype.name : prototype.constructor.name}.${String(property)}`;
  const refuse = (why: string) => new LockConfigurationError(`${where} cannot be ${decorator}: ${why}`);

  if (isStatic) {
    throw refuse('it is static, so no Nest application stands behind it. Make it a method of a provider.');
  }
  if (descriptor === undefined) throw refuse('it is a field. Make it a method.');
  const method: unknown = descriptor.value;
  if (typeof method !== 'function') throw refuse('it is an accessor, which cannot wait. Make it a method.');
  return {
    // A function in a class body; its types were checked where it is decorated.
    method: method as Method,
    where,
    replaceBy(wrapper) {
      descriptor.value = wrapper;
    },
  };
}
