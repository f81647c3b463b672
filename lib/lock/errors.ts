import type { LockLossReason } from './events.js';

/** Why a lock failed, for code that must not depend on classes (two copies of a package, a serialised error). */
export type LockErrorCode = 'LOCK_TIMEOUT' | 'LOCK_LOST' | 'LOCK_BACKEND' | 'LOCK_CLOSED' | 'LOCK_CONFIG' | 'LOCK_KEY';

export interface LockErrorDetails {
  /** The key, or all keys joined by ` + `. */
  readonly key?: string | undefined;
  /** The backend's name in the module, such as `default`. */
  readonly backend?: string | undefined;
  readonly cause?: unknown;
}

/** Properties that Nest's own filter must not read where it would show the message to the client. */
const shape: { statusCode: boolean } = { statusCode: true };

/** For a Nest whose own filter sends the message of every error with a `statusCode`: it answers 500 then, unless `LockExceptionFilter` is there. */
export function hideStatusCode(hidden = true): void {
  shape.statusCode = !hidden;
}

/**
 * Base of everything this package throws on purpose.
 *
 * `status`, `statusCode` and `expose` are the shape that Nest's own HTTP exception filter understands, so a lock error answers
 * with the right status without any set-up. They are hidden from logs and comparisons.
 */
export abstract class LockError extends Error {
  abstract readonly code: LockErrorCode;
  readonly key: string | undefined;
  readonly backend: string | undefined;
  declare readonly status: number;
  /** As `status`; `undefined` where Nest's own filter would show the message along with it: before 11.2.10. */
  declare readonly statusCode: number | undefined;
  declare readonly expose: boolean;

  protected constructor(message: string, status: number, details: LockErrorDetails) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.name = new.target.name;
    this.key = details.key;
    this.backend = details.backend;
    // Not exposed: the message names keys, hosts and addresses, which belong in the log and not in the answer.
    const shown = { status, ...(shape.statusCode && { statusCode: status }), expose: false };
    for (const [name, value] of Object.entries(shown)) {
      Object.defineProperty(this, name, { value, enumerable: false });
    }
  }
}

/** The key stayed busy for the whole `wait`. HTTP 423. */
export class LockTimeoutError extends LockError {
  readonly code = 'LOCK_TIMEOUT';
  /** How long was waited, in milliseconds. */
  readonly waitedMs: number;
  /** One of the holders at the last look, if the server named one. */
  readonly holder: string | undefined;

  constructor(message: string, details: LockErrorDetails & { waitedMs: number; holder?: string | undefined }) {
    super(message, 423, details);
    this.waitedMs = details.waitedMs;
    this.holder = details.holder;
  }
}

/** The lock was held and is not any more, or no longer surely: somebody else may be at work. HTTP 409. */
export class LockLostError extends LockError {
  readonly code = 'LOCK_LOST';
  /** How it was lost; `undefined` where it was released and the work under it went on. */
  readonly reasonCode: LockLossReason | undefined;

  constructor(message: string, details: LockErrorDetails & { readonly reasonCode?: LockLossReason } = {}) {
    super(message, 409, details);
    this.reasonCode = details.reasonCode;
  }
}

/** The lock server did not answer, or answered with an error; `cause` is the client's own. HTTP 503. */
export class LockBackendError extends LockError {
  readonly code = 'LOCK_BACKEND';

  /** Why it failed: one cause, or where several servers decide together one for each that failed. */
  get causes(): readonly unknown[] {
    return this.cause instanceof AggregateError ? (this.cause.errors as unknown[]) : [this.cause];
  }

  constructor(message: string, details: LockErrorDetails = {}) {
    super(message, 503, details);
  }
}

/** The application is shutting down: no new locks, and waiters are sent home. HTTP 503. */
export class LockClosedError extends LockError {
  readonly code = 'LOCK_CLOSED';
  constructor(message: string, details: LockErrorDetails = {}) {
    super(message, 503, details);
  }
}

/** The lock was asked for in a way that can never work: a mistake in code or configuration. HTTP 500. */
export class LockConfigurationError extends LockError {
  readonly code = 'LOCK_CONFIG';
  constructor(message: string, details: LockErrorDetails = {}) {
    super(message, 500, details);
  }
}

/** The key could not be made from the arguments; nothing was locked and the method did not run. HTTP 500. */
export class LockKeyError extends LockError {
  readonly code = 'LOCK_KEY';
  constructor(message: string, details: LockErrorDetails = {}) {
    super(message, 500, details);
  }
}
