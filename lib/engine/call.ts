import type { Clock } from './clock.js';

/** The server did not answer in time. The question may still reach it. */
export class NoAnswerError extends Error {
  constructor(milliseconds: number) {
    super(`no answer within ${Math.round(milliseconds)} ms`);
    this.name = 'NoAnswerError';
  }
}

/**
 * Asks the server with a time limit, because every client library waits for a frozen server without one. What comes later goes
 * to `late`, so that an answer nobody waits for any more can be undone.
 */
export function ask<T>(clock: Clock, milliseconds: number, question: () => Promise<T>, late?: (answer: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let timedOut = false;
    const cancel = clock.after(milliseconds, () => {
      timedOut = true;
      reject(new NoAnswerError(milliseconds));
    });
    question().then(
      (answer) => {
        cancel();
        if (timedOut) late?.(answer);
        else resolve(answer);
      },
      (error: unknown) => {
        cancel();
        reject(error as Error);
      },
    );
  });
}
