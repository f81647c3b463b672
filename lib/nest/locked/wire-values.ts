import { Logger } from '@nestjs/common';
import { prototypesOf } from '../method/class-methods.js';
import { lockedMethodsOf } from './locked-methods.js';
import type { Application } from '../service/application.js';
import { knownApplicationOf, wireInstance } from '../service/wiring.js';

/**
 * Tells objects with locked methods that come from `useFactory` and `useValue` which application they belong to. Nest injects nothing into
 * them, so this looks for them when all of them are there.
 *
 * @returns ends that, so that a value of a module may serve the next application of the process, as in tests
 */
export function wireValues(application: Application): () => void {
  const wired: object[] = [];
  const wrappers = [...application.values()].flatMap(({ providers, injectables }) => [
    ...providers.values(),
    ...injectables.values(),
  ]);
  for (const { isNotMetatype, instance } of wrappers) {
    const value: unknown = instance;
    if (!isNotMetatype || typeof value !== 'object' || value === null) continue;
    // A value may be anything, such as a proxy: nothing of it is read but the chain, unless it has locked methods.
    const where = lockedIn(value);
    if (where === undefined) continue;
    const owner = knownApplicationOf(value);
    if (owner === application) continue;
    if (owner !== undefined) {
      new Logger('DistributedLockModule').warn(
        `${where} is @Locked, and two applications of this process provide the same object: it locks in the first one. ` +
          'Give each an object of its own: `useFactory` in place of `useValue`.',
      );
      continue;
    }
    wireInstance(value, application);
    wired.push(value);
  }
  return () => {
    for (const value of wired) wireInstance(value, undefined);
  };
}

/** The first locked method of its class, such as `Orders.place`. */
function lockedIn(value: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== 'object' || prototype === null) return undefined;
  return prototypesOf(prototype).flatMap((each) => [...lockedMethodsOf(each).values()].flat())[0]?.where;
}
