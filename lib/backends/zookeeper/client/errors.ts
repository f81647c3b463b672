/** The answers that are told apart, by ZooKeeper's own numbers and names. */
const NAMES = {
  [-4]: 'ConnectionLoss',
  [-6]: 'Unimplemented',
  [-7]: 'OperationTimeout',
  [-8]: 'BadArguments',
  [-101]: 'NoNode',
  [-102]: 'NoAuth',
  [-103]: 'BadVersion',
  [-108]: 'NoChildrenForEphemerals',
  [-110]: 'NodeExists',
  [-111]: 'NotEmpty',
  [-112]: 'SessionExpired',
  [-113]: 'InvalidCallback',
  [-114]: 'InvalidACL',
  [-115]: 'AuthFailed',
  [-118]: 'SessionMoved',
  [-119]: 'NotReadOnly',
  [-122]: 'RequestTimeout',
  [-125]: 'QuotaExceeded',
  [-127]: 'ThrottledOp',
} as const satisfies Record<number, string>;

export type ZooKeeperErrorName = (typeof NAMES)[keyof typeof NAMES] | 'Closed' | 'Unknown';

/** What a server answered, or that it did not. */
export class ZooKeeperError extends Error {
  constructor(
    readonly reason: ZooKeeperErrorName,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ZooKeeperError';
  }
}

/** The answer of a server that is an error. */
export function errorOf(code: number, path: string): ZooKeeperError {
  const reason = (NAMES as Record<number, ZooKeeperErrorName>)[code] ?? 'Unknown';
  const of = path === '' ? '' : ` of ${path}`;
  return new ZooKeeperError(reason, `ZooKeeper answered ${reason} (${code})${of}${ADVICE[reason] ?? ''}.`);
}

const ADVICE: Partial<Record<ZooKeeperErrorName, string>> = {
  NoAuth: ': this login may not do that, see "Least rights" on the page of this backend',
  AuthFailed: ': check `auth`',
  Unimplemented: ': it takes a ZooKeeper of 3.6 or later',
};

/** Whether it is one of these answers. */
export const is = (error: unknown, ...reasons: readonly ZooKeeperErrorName[]): boolean =>
  error instanceof ZooKeeperError && reasons.includes(error.reason);

/** Whether the server showed a certificate that is not trusted: asking again is no help, and whoever waits is told why. */
export const isUntrusted = ({ cause }: ZooKeeperError): boolean =>
  cause instanceof Error && 'code' in cause && /CERT|SELF_SIGNED|^UNABLE_TO_/.test(String(cause.code));
