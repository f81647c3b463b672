import type { LockLossReason } from '../../lock/events.js';

/** Why a lease ended against its owner's will. */
export interface Loss {
  readonly code: LockLossReason;
  /** Part of a sentence: "the lock was lost: …". */
  readonly text: string;
}

export const EXPIRED: Loss = { code: 'expired', text: 'its lease ran out before the server confirmed a renewal' };

export const TAKEN: Loss = {
  code: 'taken',
  text: 'the server no longer has it: it expired, was taken away, or the server lost its data',
};

export const GONE_AT_RELEASE: Loss = { code: 'taken', text: 'the server no longer had it at the release' };

export const FORCED: Loss = { code: 'forced', text: 'it was released by force, or its key was removed' };

export const NOT_IN_SESSION: Loss = {
  code: 'forced',
  text: 'the server no longer has it: it was released by force, or its key was removed',
};

export const SHUT_DOWN: Loss = {
  code: 'shutdown',
  text: 'the application shut down before the work under it had ended',
};

export const sessionEnded = (id: string): Loss => ({
  code: 'taken',
  text: `its session ${id} has ended on the server`,
});

export const heldTooLong = (maxHold: number): Loss => ({
  code: 'max-hold',
  text: `it was held for its \`maxHold\` of ${maxHold} ms`,
});
