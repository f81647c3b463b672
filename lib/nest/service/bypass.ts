import { memoryOn } from '../../backends/memory/index.js';
import { LockTable } from '../../backends/memory/lock-table.js';
import type { Clock } from '../../engine/time/clock.js';
import { LockEngine, type WithLockOptions } from '../../engine/engine.js';
import type { Lock } from '../../lock/lock.js';
import { type Application, lockServiceOf, lockServicesOf } from './application.js';
import type { LockService } from './lock.service.js';
import { applicationOf, knownApplicationOf } from './wiring.js';
import { processWide } from './process-wide.js';

/** How many calls of `bypassLocks` are in force. */
const state = processWide('bypass', () => ({ inForce: 0 }));

/** The services of `LockTestingModule`. */
const underTest = processWide('under-test', () => new WeakSet<object>());

/**
 * For the set-up file of unit tests: `@Locked` methods and `LockInterceptor` run without an application, a lock module or a lock server.
 * Each call gets a lock of its own, so nothing waits and nothing is ever busy, and `currentLock()` works as always. An application that
 * starts meanwhile keeps the locks of its `LockService` and its elections in memory. One with `LockTestingModule` locks all the same, so that
 * unit tests and integration tests can share a set-up file.
 *
 * Fake timers do not matter to it: these locks know no time and are never lost.
 *
 * @returns how to lock again
 */
export function bypassLocks(): () => void {
  state.inForce += 1;
  let ended = false;
  return () => {
    if (!ended) state.inForce -= 1;
    ended = true;
  };
}

/** Has the locks of this service win over `bypassLocks`: the test that made it wants them. */
export function lockThoughBypassed(service: LockService): void {
  underTest.add(service);
}

/** Whether a test asked for no locks. */
export function locksAreBypassed(): boolean {
  return state.inForce > 0;
}

/**
 * The service for a call of a decorated method, which finds its application through its object.
 *
 * @param where such as `Orders.place`, for the message
 * @throws LockConfigurationError when there is none: nothing ever runs without its lock
 */
export function serviceFor(self: unknown, backend: string, where: string): Pick<LockService, 'withLock'> {
  if (!locksAreBypassed()) return lockServiceOf(applicationOf(self, where), backend, where);
  const application = knownApplicationOf(self);
  return application === undefined ? bypassed : serviceIn(application, backend, where);
}

/** As `serviceFor`, where the application is known. */
export function serviceIn(application: Application, backend: string, where: string): Pick<LockService, 'withLock'> {
  if (!locksAreBypassed()) return lockServiceOf(application, backend, where);
  const isUnderTest = [...lockServicesOf(application).values()].some((service) => underTest.has(service));
  return isUnderTest ? lockServiceOf(application, backend, where) : bypassed;
}

/** Time stands still, so no lease ends whatever a test does to its clock. */
const STILL: Clock = { now: () => 0, after: () => () => undefined, limit: () => () => undefined };

const bypassed: Pick<LockService, 'withLock'> = {
  withLock<T>(
    key: string | readonly string[],
    work: (lock: Lock) => PromiseLike<T> | T,
    { mode, limit, signal }: WithLockOptions = {},
  ): Promise<T> {
    // An engine of its own has nobody else in it.
    const engine = new LockEngine(memoryOn(new LockTable(() => 0)), { clock: STILL });
    return engine.withLock(key, work, {
      ...(mode !== undefined && { mode }),
      ...(limit !== undefined && { limit }),
      ...(signal !== undefined && { signal }),
    });
  },
};
