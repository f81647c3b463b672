import { Inject } from '@nestjs/common';
import { LockService } from './lock.service.js';

/** What a backend is called that was given as `backend`, without a name. */
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
 * The injection token of one backend, for a test that puts another one in its place: the application then contacts no lock server.
 *
 *     Test.createTestingModule({ imports: [AppModule] }).overrideProvider(getLockBackendToken()).useValue(memory())
 *
 * @param name the backend's name in the module; without it the default backend, whatever that is called
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
