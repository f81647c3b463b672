import type { Busy, Claim, Conflict, Grant } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Family } from '../leases/family.js';
import type { Clock } from '../time/clock.js';

export interface AskForAllTools {
  readonly clock: Clock;
  readonly callTimeout: number;
  readonly family: Pick<Family, 'attemptAll'>;
  readonly retries: Pick<ReleaseRetries, 'expect'>;
}

export interface AskForAllListener {
  /** A claim was granted by an answer that came after the question had timed out or was given up. */
  onLate(claim: Claim): void;
  canGiveUp(giveUp: () => void): void;
}

/** Asks for several keys in one step, if the server can; it says `undefined` where these keys cannot be taken so. */
export function askForAll(
  { clock, callTimeout, family, retries }: AskForAllTools,
  claims: readonly Claim[],
  listener: AskForAllListener,
): Promise<readonly Grant[] | Busy | Conflict | undefined> {
  const question = (async () => family.attemptAll?.(claims))();
  return ask(clock, callTimeout, () => question, {
    late: (answer) => {
      if (answer && !('granted' in answer)) for (const claim of claims) listener.onLate(claim);
    },
    canGiveUp: (giveUp) =>
      listener.canGiveUp(() => {
        retries.expect(question);
        giveUp();
      }),
  });
}
