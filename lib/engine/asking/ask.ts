import type { Clock } from '../time/clock.js';

/** The server did not answer in time. The question may still reach it. */
export class NoAnswerError extends Error {
  constructor(milliseconds: number) {
    super(`no answer within ${Math.round(milliseconds)} ms`);
    this.name = 'NoAnswerError';
  }
}

/** The asker no longer waits for the answer. */
export class GivenUpError extends Error {
  constructor() {
    super('the question was given up');
    this.name = 'GivenUpError';
  }
}

/** Learns more of a question than its answer. */
export interface Asker<T> {
  /** Receives an answer that came after the time limit or after the question was given up, so that it can be undone. */
  late(answer: T): void;
  /** Receives a function that gives the question up. It rejects the question at once. */
  canGiveUp?(giveUp: () => void): void;
}

/** Asks the server with a time limit, because client libraries wait for a frozen server without one. */
export function ask<T>(clock: Clock, milliseconds: number, question: () => Promise<T>, asker?: Asker<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // Send first: the set-up below then runs while the question is on its way.
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
