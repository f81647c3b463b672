import { type DeclaredMethod, methodsOf } from './method/class-methods.js';
import { processWide } from './service/process-wide.js';
import { routeLocksOn } from './route/noted-route-locks.js';
import { lockedMethodsOf, originalOf } from './locked/locked-methods.js';

interface LockedMember extends DeclaredMethod {
  /** A `LockInterceptor` stands on it: Nest finds none on what `bind` makes of a method. */
  readonly isRoute: boolean;
}

const byPrototype = processWide('locked-members', () => new WeakMap<object, readonly LockedMember[]>());

/**
 * The methods with a lock that an object hides by a member of its own: a field, an arrow function, an assignment in the constructor. Calls
 * meet that member, and no lock.
 */
export function hiddenLocks(instance: object): readonly (string | symbol)[] {
  const prototype: unknown = Object.getPrototypeOf(instance);
  if (typeof prototype !== 'object' || prototype === null) return [];
  return lockedMembers(prototype)
    .filter(({ property }) => Object.hasOwn(instance, property))
    .filter(({ property, method, isRoute }) => {
      const value: unknown = Object.getOwnPropertyDescriptor(instance, property)?.value;
      if (typeof value !== 'function') return true;
      // What `bind` makes of a @Locked method is still under its lock.
      return !(value.name === `bound ${method.name}` && !isRoute) && !callsSuper(value, property);
    })
    .map(({ property }) => property);
}

/** As far as its source tells: a function that calls the method of its class goes in under the lock. */
export function callsSuper(method: unknown, property: string | symbol): boolean {
  if (typeof method !== 'function') return false;
  // A function may be any.
  const source = Function.prototype.toString.call(originalOf(method as (...args: never[]) => unknown));
  return /\bsuper\s*\[/.test(source) || new RegExp(`\\bsuper\\s*\\.\\s*${escaped(property)}(?![\\w$])`).test(source);
}

function escaped(property: string | symbol): string {
  return String(property).replaceAll(/[^\w]/g, String.raw`\$&`);
}

function lockedMembers(prototype: object): readonly LockedMember[] {
  const known = byPrototype.get(prototype);
  if (known !== undefined) return known;
  const members = methodsOf(prototype).flatMap((each): LockedMember[] => {
    const isRoute = routeLocksOn(each.method).length > 0;
    return isRoute || lockedMethodsOf(each.declaring).has(each.property) ? [{ ...each, isRoute }] : [];
  });
  byPrototype.set(prototype, members);
  return members;
}
