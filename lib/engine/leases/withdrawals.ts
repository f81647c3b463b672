import type { Claim } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { Released, ReleaseRetries } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Family } from './family.js';

/** How long a failed acquisition waits for its withdrawal, in milliseconds. After that the withdrawal goes on in the background. */
const WITHDRAWAL_MS = 250;

/** How long a server keeps the place of a silent waiter at most, in milliseconds. */
const PLACE_FORGOTTEN_MS = 20_000;

export interface WithdrawalTools {
  readonly clock: Clock;
  readonly retries: ReleaseRetries;
  readonly family: Pick<Family, 'release'>;
  /** The server did not confirm the withdrawal. It is tried again. */
  readonly onUnknown: (claim: Claim, error: unknown) => void;
}

/** Withdraws a claim: takes back its hold or its place in line on the server. */
export class Withdrawals {
  constructor(private readonly tools: WithdrawalTools) {}

  /**
   * Tries once and waits for the result. An unconfirmed withdrawal is repeated in the background for as long as the server may keep the
   * claim.
   * @param keepMs how long the server keeps the key closed afterwards, in milliseconds
   * @param before earlier owners of this process that the server may still have as the holder
   */
  withdraw(claim: Claim, keepMs = 0, before: readonly Claim[] = NONE): Promise<Released> {
    const { retries, family, onUnknown } = this.tools;
    return retries.release(
      () => family.release(claim, keepMs, before),
      before.reduce((longest, { ttl }) => Math.max(longest, ttl), claim.ttl) + keepMs + PLACE_FORGOTTEN_MS,
      (error) => onUnknown(claim, error),
      claim.key,
    );
  }

  /** As `withdraw`, but does not wait for a silent server, because the caller gave up. Only closing goes on waiting. */
  withdrawSoon(claim: Claim, before?: readonly Claim[]): Promise<Released> {
    const withdrawn = this.withdraw(claim, 0, before);
    return ask(this.tools.clock, WITHDRAWAL_MS, () => withdrawn).catch(() => {
      this.tools.retries.expect(withdrawn);
      return 'unknown';
    });
  }

  /** A question that may still reach the server, or a release. Closing waits for it. */
  expect(onItsWay: Promise<unknown>): void {
    this.tools.retries.expect(onItsWay);
  }
}

const NONE: readonly Claim[] = [];
