import { processWide } from '../service/process-wide.js';
import type { LockedOptions } from './locked.options.js';

/** What is known of a decorated method, for the report at boot. */
export interface LockedMethod {
  /** Such as `Orders.place`. */
  readonly where: string;
  /** The key as it reads in the source. */
  readonly key: string;
  readonly backend: string;
  readonly options: LockedOptions;
}

/** By prototype, as a decorator above `@Locked` may replace the function. A method may be locked more than once. */
const byPrototype = processWide('locked-methods', () => new WeakMap<object, Map<string | symbol, LockedMethod[]>>());
/** From a wrapper to what it wraps. */
const originals = processWide('originals', () => new WeakMap<object, (...args: never[]) => unknown>());

export function noteLockedMethod(prototype: object, property: string | symbol, method: LockedMethod): void {
  const methods = byPrototype.get(prototype) ?? new Map<string | symbol, LockedMethod[]>();
  methods.set(property, [...(methods.get(property) ?? []), method]);
  byPrototype.set(prototype, methods);
}

/** The locked methods that this very class declares. */
export function lockedMethodsOf(prototype: object): ReadonlyMap<string | symbol, readonly LockedMethod[]> {
  return byPrototype.get(prototype) ?? new Map<string | symbol, LockedMethod[]>();
}

export function noteOriginal(wrapper: object, original: (...args: never[]) => unknown): void {
  originals.set(wrapper, original);
}

/** The method as it was written, below all of our own wrappers: the one whose source has the parameters' names. */
export function originalOf(method: (...args: never[]) => unknown): (...args: never[]) => unknown {
  const original = originals.get(method);
  return original === undefined ? method : originalOf(original);
}
