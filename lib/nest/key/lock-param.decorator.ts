import { LockConfigurationError } from '../../lock/errors.js';

/**
 * Names a parameter for the lock's key, where its own name cannot be trusted: in minified builds and in builds below ES2017.
 *
 * ```ts
 * class Orders {@Locked('order:<id>') async place(@LockParam('id') id: string) {} }
 * ```
 */
export function LockParam(name: string): ParameterDecorator {
  return (prototype, property, index) => {
    if (property === undefined) {
      throw new LockConfigurationError(
        `@LockParam('${name}') names a parameter of a method; a constructor cannot be locked.`,
      );
    }
    const names = namesOf(prototype, property);
    const taken = names.get(name);
    if (taken !== undefined && taken !== index) {
      throw new LockConfigurationError(
        `${prototype.constructor.name}.${String(property)}: two parameters are named @LockParam('${name}').`,
      );
    }
    Reflect.defineMetadata(LOCK_PARAMS, new Map([...names, [name, index]]), prototype, property);
  };
}

const LOCK_PARAMS = 'nestjs-distributed-lock:params';

/** The parameters that `@LockParam` named, with their indexes. */
export function lockParams(prototype: object, property: string | symbol): ReadonlyMap<string, number> {
  return namesOf(prototype, property);
}

function namesOf(prototype: object, property: string | symbol): ReadonlyMap<string, number> {
  // Own: an override names its parameters itself.
  const names: unknown = Reflect.getOwnMetadata(LOCK_PARAMS, prototype, property);
  return names instanceof Map ? names : new Map<string, number>();
}
