import type { Clock } from './clock.js';

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

export interface AskOptions<T> {
  /** Gets an answer that came after its question had timed out or was given up, so that it can be undone. */
  readonly late?: (answer: T) => void;
  /** Is handed the way to give the question up, which rejects it at once. */
  readonly giveUp?: (giveUp: () => void) => void;
}

/** Asks the server with a time limit, because every client library waits for a frozen server without one. */
export function ask<T>(
  clock: Clock,
  milliseconds: number,
  question: () => Promise<T>,
  options?: AskOptions<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let over = false;
    const end = (error: Error): void => {
      over = true;
      cancel();
      reject(error);
    };
    const cancel = clock.after(milliseconds, () => end(new NoAnswerError(milliseconds)));
    options?.giveUp?.(() => end(new GivenUpError()));
    question().then(
      (answer) => {
        cancel();
        if (over) options?.late?.(answer);
        else resolve(answer);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
