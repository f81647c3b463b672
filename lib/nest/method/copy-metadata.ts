/**
 * Makes a wrapper pass for the method it wraps. Other decorators, and Nest itself, read a method's metadata (routes, guards, cron),
 * its length and its name: Swagger and the throttler look it up by `name`, so that is the property it is called by.
 */
export function copyMetadata(wrapper: object, method: object, property: string | symbol): void {
  for (const key of Reflect.ownKeys(method)) {
    const descriptor = Object.getOwnPropertyDescriptor(method, key);
    if (key !== 'prototype' && descriptor !== undefined) Object.defineProperty(wrapper, key, descriptor);
  }
  Object.defineProperty(wrapper, 'name', { value: nameOf(property), configurable: true });
  for (const key of Reflect.getOwnMetadataKeys(method)) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, method), wrapper);
  }
}

/** The name that a function has as a method. */
export function nameOf(property: string | symbol): string {
  return typeof property === 'symbol' ? `[${property.description ?? ''}]` : property;
}
