import { LockConfigurationError, type LockTimeoutError } from '../../lock/errors.js';
import type { BusyInfo, OnBusy } from './locked.options.js';

/** What the caller gets instead: no value or one. */
export type BusyAnswer = (outcome: {
  readonly busy: BusyInfo;
  readonly error: LockTimeoutError;
}) => Promise<readonly unknown[]>;

/**
 * Carries out `onBusy`.
 * @throws LockConfigurationError when it is none of the three
 */
export function busyAnswer(where: string, onBusy: OnBusy = 'throw'): BusyAnswer {
  if (onBusy !== 'throw' && onBusy !== 'skip' && typeof onBusy !== 'function') {
    throw new LockConfigurationError(
      `${where}: \`onBusy\` is ${JSON.stringify(onBusy)}; it is 'throw', 'skip' or a function of what is known of the busy key.`,
    );
  }
  return async ({ busy, error }) => {
    if (onBusy === 'throw') throw error;
    return onBusy === 'skip' ? [] : [await onBusy(busy)];
  };
}
