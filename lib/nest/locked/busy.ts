import { LockConfigurationError, type LockTimeoutError } from '../../lock/errors.js';
import type { BusyInfo, OnBusy } from './locked.options.js';

/** What the caller gets instead: no value or one. */
export type BusyAnswer = (outcome: {
  readonly busy: BusyInfo;
  readonly error: LockTimeoutError;
}) => Promise<readonly unknown[]>;

type BusyFunction = (this: unknown, info: BusyInfo, ...args: readonly unknown[]) => unknown;

/**
 * Carries out `onBusy`, for the object and the arguments of one call.
 * @throws LockConfigurationError when it is none of the three
 */
export function busyAnswer(
  where: string,
  onBusy: OnBusy = 'throw',
): (self: unknown, args: readonly unknown[]) => BusyAnswer {
  if (onBusy !== 'throw' && onBusy !== 'skip' && typeof onBusy !== 'function') {
    throw new LockConfigurationError(
      `${where}: \`onBusy\` is ${JSON.stringify(onBusy)}; it is 'throw', 'skip' or a function of what is known of the busy key.`,
    );
  }
  return (self, args) =>
    async ({ busy, error }) => {
      if (onBusy === 'throw') throw error;
      if (onBusy === 'skip') return [];
      // The decorator's types have compared its parameters with the method's.
      return [await (onBusy as BusyFunction).call(self, busy, ...args)];
    };
}
