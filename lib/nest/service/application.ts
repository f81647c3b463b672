import type { ModulesContainer } from '@nestjs/core';
import { LockConfigurationError } from '../../lock/errors.js';
import { DEFAULT_BACKEND } from './lock.tokens.js';
import type { LockService } from './lock.service.js';

/**
 * The lock services of each Nest application in this process, by backend. A decorated method finds its own application's here:
 * two applications in one process (tests, a main app with a worker) share classes but never locks.
 *
 * The container of modules stands for the application: Nest lets every class inject it, whatever its module imports. (A `ModuleRef`
 * would do as well, but each one that is asked builds an index of all providers of the application.)
 */
export type Application = ModulesContainer;

/** By global symbol: a process may load this package twice, once by `import` and once by `require`. */
const APPLICATIONS = Symbol.for('nestjs-distributed-lock:applications');

type LockServices = Map<string, LockService>;
type Shared = { [APPLICATIONS]?: WeakMap<Application, LockServices> };

function applications(): WeakMap<Application, LockServices> {
  // Nothing else in the process writes to this symbol.
  const shared = globalThis as Shared;
  return (shared[APPLICATIONS] ??= new WeakMap());
}

/** @throws LockConfigurationError when the name is taken: two services of one name would be picked between by import order */
export function addLockService(application: Application, name: string, service: LockService): void {
  const services = applications().get(application) ?? new Map<string, LockService>();
  if (services.has(name)) {
    throw new LockConfigurationError(
      name === DEFAULT_BACKEND
        ? 'Two DistributedLockModule.forRoot() of this application define the default backend. ' +
            'Import the module once, or give the second one `backends` with names and `default: false`. ' +
            'In a test of an application that has one, use `LockTestingModule.override(builder)`.'
        : `Two DistributedLockModule.forRoot() of this application define a backend named "${name}". Give one of them another name.`,
    );
  }
  applications().set(application, services.set(name, service));
}

/** All lock services of the application, by backend; empty when it does not import the module. */
export function lockServicesOf(application: Application): ReadonlyMap<string, LockService> {
  return applications().get(application) ?? new Map<string, LockService>();
}

/**
 * @param where such as `Orders.place`, for the message
 * @throws LockConfigurationError when there is none: nothing ever runs without its lock
 */
export function lockServiceOf(application: Application, name: string, where: string): LockService {
  const services = lockServicesOf(application);
  const service = services.get(name);
  if (service !== undefined) return service;
  if (services.size === 0) {
    throw new LockConfigurationError(
      `${where} cannot be locked and did not run: this application has no lock module. ` +
        'Import DistributedLockModule.forRoot({ backend }) in its root module; in a unit test, DistributedLockModule.forRoot({ backend: memory() }).',
    );
  }
  throw new LockConfigurationError(`${where} cannot be locked and did not run: ${noBackend(name, services)}`, {
    backend: name,
  });
}

/** Why a name is wrong, as the boot report says it too. */
export function noBackend(name: string, services: ReadonlyMap<string, LockService>): string {
  const names = [...services.keys()].map((known) => `"${known}"`).join(', ');
  return name === DEFAULT_BACKEND
    ? `no backend is the default one. Name one of ${names} as \`default\` of the module, or as \`backend\` of the lock.`
    : `there is no backend "${name}" here. Known: ${names}.`;
}
