import type { Clock } from '../time/clock.js';

/** Maximum time in the queue, in milliseconds, unless the asker gives up earlier. */
export const LONGEST_QUEUE_MS = 10_000;

/** The question was never sent, so the server knows nothing of it. */
export class NotAskedError extends Error {
  constructor() {
    super('it was not even asked, because the server is slower than this process has questions');
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
