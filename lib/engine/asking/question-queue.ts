import type { Clock } from '../time/clock.js';

/** How long a question waits to be asked at most, in milliseconds, unless its asker gives up before. */
export const LONGEST_QUEUE_MS = 10_000;

/** The question was never sent, so the server knows nothing of it. */
export class NotAskedError extends Error {
  constructor() {
    super('it was not even asked, because the server is slower than this process has questions');
    this.name = 'NotAskedError';
  }
}

export interface Queueing {
  /** How long it waits to be asked, in milliseconds. */
  readonly atMost: number;
  /** Goes ahead of the others: it makes room. */
  readonly first?: boolean;
  /** Is handed the way out of the queue, which rejects the question; once it was sent, that does nothing. */
  canLeave?(leave: () => void): void;
}

/**
 * Lets so many questions be on their way at once, and the others wait here in order. A server that gets thousands at once answers all
 * of them late, and each would count as failed. The time limit of a question begins when it is let through. Renewals do not come here:
 * what is held goes ahead of what is asked for.
 */
export class QuestionQueue {
  readonly #first = new Set<() => void>();
  readonly #others = new Set<() => void>();
  #free: number;

  /** @param size `Infinity` for a backend that batches what it is asked */
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
      const enter = (): void => {
        cancel();
        this.#ask(question).then(resolve, reject);
      };
      const leave = (): void => {
        if (!queue.delete(enter)) return;
        cancel();
        reject(new NotAskedError());
      };
      queue.add(enter);
      const cancel = this.clock.limit(atMost, leave);
      canLeave?.(leave);
    });
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    this.#free--;
    try {
      return await question();
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
