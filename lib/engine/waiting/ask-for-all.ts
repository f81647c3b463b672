import type { Busy, Claim, Conflict, Grant } from '../../backends/backend.js';
import { ask } from '../asking/ask.js';
import { LONGEST_QUEUE_MS, type QuestionQueue } from '../asking/question-queue.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Family } from '../leases/family.js';
import type { Clock } from '../time/clock.js';

export interface AskForAllTools {
  readonly clock: Clock;
  readonly callTimeout: number;
  readonly family: Pick<Family, 'attemptAll'>;
  readonly questions: Pick<QuestionQueue, 'run'>;
  readonly retries: Pick<ReleaseRetries, 'expect'>;
}

export interface AskForAllListener {
  /** A claim was granted by an answer that came after the question had timed out or was given up. */
  onLate(claim: Claim): void;
  canGiveUp(giveUp: () => void): void;
  /** The question is being sent. */
  onSent(): void;
}

/**
 * Asks for several keys in one step. Resolves to `undefined` when the server cannot take these keys in one step.
 * @param atMost maximum time in the queue, in milliseconds
 */
export function askForAll(
  { clock, callTimeout, family, questions, retries }: AskForAllTools,
  claims: readonly Claim[],
  listener: AskForAllListener,
  atMost = LONGEST_QUEUE_MS,
): Promise<readonly Grant[] | Busy | Conflict | undefined> {
  const send = (): Promise<readonly Grant[] | Busy | Conflict | undefined> => {
    listener.onSent();
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
  };
  return questions.run(send, { atMost, canLeave: (leave) => listener.canGiveUp(leave) });
}
