import { LockClosedError } from '../lock/errors.js';

/** What a server, the network or a driver calls a failure, such as `NOPERM`, `ECONNREFUSED`, `42501` or `EtcdPermissionDeniedError`. */
const CODE = /^[A-Za-z0-9_]{3,40}$/;
/** Redis begins its errors with such a word. */
const FIRST_WORD = /^[A-Z]{4,}\b/;

/** Why locks do not work, without the hosts, accounts and keys that the error's message may name. */
export function publicReason(error: unknown): string {
  if (error instanceof LockClosedError) return 'the application is shutting down';
  const cause = innermost(error);
  if (cause instanceof Error && cause.name === 'NoAnswerError') return cause.message;
  const code = codeOf(cause);
  return `no lock can be taken${code === undefined ? '' : ` (${code})`}; the log has the reason`;
}

function innermost(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  return error instanceof Error && error.cause !== undefined ? innermost(error.cause) : error;
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code: unknown = 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && CODE.test(code)) return code;
  const [word] = FIRST_WORD.exec(error.message) ?? [];
  return word ?? (error.name !== 'Error' && CODE.test(error.name) ? error.name : undefined);
}
