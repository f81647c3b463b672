import { Inject } from '@nestjs/common';
import { LockService } from './lock.service.js';

/** The name of a backend that you give as `backend`, without a name. */
export const DEFAULT_BACKEND = 'default';

/**
 * The injection token of the `LockService` of one backend: for `forFeature`-like factories, `moduleRef.get(…)` and
 * `overrideProvider(…)` in tests.
 *
 * @param name the backend's name in the module; without it the default backend, whose token is the class itself
 */
export function getLockServiceToken(name: string = DEFAULT_BACKEND): string | typeof LockService {
  return name === DEFAULT_BACKEND ? LockService : `${name}LockService`;
}

/**
 * The injection token of one backend. A test that overrides it contacts no lock server:
 *
 *     Test.createTestingModule({ imports: [AppModule] }).overrideProvider(getLockBackendToken()).useValue(memory())
 *
 * @param name the backend's name in the module; without it the default backend, whatever its name
 */
export function getLockBackendToken(name: string = DEFAULT_BACKEND): string {
  return name === DEFAULT_BACKEND ? 'DistributedLockBackend' : `${name}DistributedLockBackend`;
}

/**
 * Injects the `LockService` of one backend.
 *
 * ```ts
 * constructor(@InjectLockService('audit') private readonly locks: LockService) {}
 * ```
 *
 * @param name the backend's name in the module; without it the default backend
 */
export function InjectLockService(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getLockServiceToken(name));
}
