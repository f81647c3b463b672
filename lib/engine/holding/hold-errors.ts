import { LockBackendError, LockClosedError, LockConfigurationError, LockLostError } from '../../lock/errors.js';
import { messageOf } from '../../lock/messages.js';
import type { Loss } from '../leases/loss.js';

/** The lock that an error is about. */
export interface HoldDetails {
  /** The key, or all keys joined. */
  readonly key: string;
  /** The backend's name in the module. */
  readonly backend: string;
}

export const lost = (details: HoldDetails, { code, text }: Loss): LockLostError =>
  new LockLostError(
    `The lock on '${details.key}' was lost: ${text}. Somebody else may hold it now; stop, and write nothing that is not guarded by the fencing token.`,
    { ...details, reasonCode: code },
  );

export const released = (details: HoldDetails): LockLostError =>
  new LockLostError(`The lock on '${details.key}' was released. Work that needs it must end before that.`, details);

export const releasedAroundNested = (details: HoldDetails): LockLostError =>
  new LockLostError(
    `The lock on '${details.key}' was released by hand while a nested call was still under it. ` +
      'Somebody else may hold it now; await nested calls before you call release().',
    details,
  );

export const shuttingDown = (details: HoldDetails): LockClosedError =>
  new LockClosedError(
    `The application is shutting down: end the work under '${details.key}' now. The lock is held until it has ended, for a bounded time.`,
    details,
  );

export const notExtended = (details: HoldDetails, cause: unknown, remainingMs: number): LockBackendError =>
  new LockBackendError(
    `The lock on '${details.key}' could not be extended: ${messageOf(cause)}. It is held for ${Math.round(remainingMs)} ms more unless a renewal succeeds.`,
    { ...details, cause },
  );

export const cannotDowngrade = (details: HoldDetails): LockConfigurationError =>
  new LockConfigurationError(
    `The backend '${details.backend}' cannot downgrade a lock. Release it and take a shared one.`,
    details,
  );

export const notDowngraded = (details: HoldDetails, cause: unknown): LockBackendError =>
  new LockBackendError(
    `The lock on '${details.key}' could not be downgraded: ${messageOf(cause)}. It may be either, and counts as shared from now on; call downgrade() again, or release.`,
    { ...details, cause },
  );
