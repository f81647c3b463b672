import type { Claim } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { Released, ReleaseRetries } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Family } from './family.js';

/** How long an acquisition that failed waits for its withdrawal, in milliseconds; after that it goes on in the background. */
const WITHDRAWAL_MS = 250;

/** The longest that a server keeps a silent waiter's place in line, in milliseconds. */
const PLACE_FORGOTTEN_MS = 20_000;

export interface WithdrawalTools {
  readonly clock: Clock;
  readonly retries: ReleaseRetries;
  readonly family: Pick<Family, 'release'>;
  /** The server did not confirm it. It is tried again. */
  readonly onUnknown: (claim: Claim, error: unknown) => void;
}

/** Takes back whatever the server may have for a claim: a hold or a place in line. */
export class Withdrawals {
  constructor(private readonly tools: WithdrawalTools) {}

  /**
   * Tries once and waits for that. Unconfirmed, it is repeated in the background for as long as the server may keep the claim.
   * @param keepMs how long the server keeps the key closed after that, in milliseconds
   * @param before those it took the key over from inside of this process, where the server may not know of that
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

  /** As `withdraw`, but a silent server is not waited for: who gave up wants out. Only closing goes on waiting. */
  withdrawSoon(claim: Claim, before?: readonly Claim[]): Promise<Released> {
    const withdrawn = this.withdraw(claim, 0, before);
    return ask(this.tools.clock, WITHDRAWAL_MS, () => withdrawn).catch(() => {
      this.tools.retries.expect(withdrawn);
      return 'unknown';
    });
  }

  /** A question that may still reach the server, or a release: closing waits for it. */
  expect(onItsWay: Promise<unknown>): void {
    this.tools.retries.expect(onItsWay);
  }
}

const NONE: readonly Claim[] = [];
