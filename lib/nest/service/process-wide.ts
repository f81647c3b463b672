type Shared = { [name: symbol]: unknown };

/**
 * One value for the process, whichever copy of this package asks: a test runner, or `import` beside `require`, may load two.
 *
 * @param name must change whenever the shape of the value does
 */
export function processWide<T>(name: string, make: () => T): T {
  const key = Symbol.for(`nestjs-distributed-lock:${name}`);
  // Nothing else in the process writes to these symbols.
  const shared = globalThis as Shared;
  return (shared[key] ??= make()) as T;
}
