import type { Clock } from '../time/clock.js';

/** Maximum time in the queue, in milliseconds, unless the asker gives up earlier. */
export const LONGEST_QUEUE_MS = 10_000;

/** The question was never sent, so the server knows nothing of it. */
export class NotAskedError extends Error {
  /** @param answered how many other questions were answered while it waited */
  constructor(readonly answered: number) {
    super(
      answered > 0
        ? `it was not even asked for, because this process asks for more than the server answers: ${answered} questions went first`
        : 'it was not even asked for, because the server answered none of the questions ahead of it',
    );
    this.name = 'NotAskedError';
  }
}

export interface Queueing {
  /** Maximum time in the queue, in milliseconds. */
  readonly atMost: number;
  /** Goes ahead of the others, because it makes room. */
  readonly first?: boolean;
  /** Receives a function that leaves the queue and rejects the question. After the question was sent, it does nothing. */
  canLeave?(leave: () => void): void;
}

/**
 * Limits how many questions are on their way at once. The others wait here in order. A server that gets thousands at once answers all of
 * them late, and each would count as failed. The time limit of a question begins when it leaves the queue. Renewals do not queue, because
 * held locks go ahead of new ones.
 */
export class QuestionQueue {
  readonly #first = new Set<() => void>();
  readonly #others = new Set<() => void>();
  #free: number;
  #answered = 0;

  /** @param size `Infinity` for a backend that batches its questions */
  constructor(
    private readonly clock: Clock,
    private readonly size = Infinity,
  ) {
    this.#free = size;
  }

  /** @throws NotAskedError */
  run<T>(question: () => Promise<T>, { atMost, first = false, canLeave }: Queueing): Promise<T> {
    if (this.size === Infinity) return question();
    if (this.#free > 0) return this.#ask(question);
    return new Promise<T>((resolve, reject) => {
      const queue = first ? this.#first : this.#others;
      const answeredBefore = this.#answered;
      const enter = (): void => {
        cancel();
        this.#ask(question).then(resolve, reject);
      };
      const leave = (): void => {
        if (!queue.delete(enter)) return;
        cancel();
        reject(new NotAskedError(this.#answered - answeredBefore));
      };
      queue.add(enter);
      const cancel = this.clock.limit(atMost, leave);
      canLeave?.(leave);
    });
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    this.#free--;
    try {
      const answer = await question();
      this.#answered++;
      return answer;
    } finally {
      this.#free++;
      this.#letNext();
    }
  }

  #letNext(): void {
    for (const queue of [this.#first, this.#others]) {
      for (const enter of queue) {
        queue.delete(enter);
        return enter();
      }
    }
  }
}
