import type { Clock } from '../time/clock.js';

/** The server did not answer in time. The question may still reach it. */
export class NoAnswerError extends Error {
  constructor(milliseconds: number) {
    super(`no answer within ${Math.round(milliseconds)} ms`);
    this.name = 'NoAnswerError';
  }
}

/** Nobody waits for the answer any more. */
export class GivenUpError extends Error {
  constructor() {
    super('the question was given up');
    this.name = 'GivenUpError';
  }
}

/** Whoever wants to know more of a question than its answer. */
export interface Asker<T> {
  /** Gets an answer that came after its question had timed out or was given up, so that it can be undone. */
  late(answer: T): void;
  /** Is handed the way to give the question up, which rejects it at once. */
  canGiveUp?(giveUp: () => void): void;
}

/** Asks the server with a time limit, because every client library waits for a frozen server without one. */
export function ask<T>(clock: Clock, milliseconds: number, question: () => Promise<T>, asker?: Asker<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // Sent first: what is set up while the question is on its way costs no time.
    const answer = question();
    let over = false;
    const end = (error: Error): void => {
      over = true;
      cancel();
      reject(error);
    };
    const cancel = clock.limit(milliseconds, () => end(new NoAnswerError(milliseconds)));
    asker?.canGiveUp?.(() => end(new GivenUpError()));
    answer.then(
      (answer) => {
        cancel();
        if (over) asker?.late(answer);
        else resolve(answer);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
