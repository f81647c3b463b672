/** The request was given up before it was sent. */
export class GivenUpError extends Error {
  constructor() {
    super('the request was given up before it was sent');
    this.name = 'GivenUpError';
  }
}

interface Waiting {
  readonly wanted: () => boolean;
  enter(): void;
  refuse(error: Error): void;
}

/**
 * Lets so many requests go to the server at once; the others wait here in order. A server that gets thousands at once answers all of
 * them late, and each one would count as failed. The time limit of a request begins when it is let through.
 */
export class Gate {
  #open: number;
  #waiting: Waiting[] = [];
  #next = 0;

  constructor(size: number) {
    this.#open = size;
  }

  /** @param wanted whether the answer still matters, asked when the request could go. @throws GivenUpError when it does not */
  async run<T>(request: () => Promise<T>, wanted: () => boolean): Promise<T> {
    if (this.#open > 0) this.#open--;
    else await new Promise<void>((enter, refuse) => this.#waiting.push({ wanted, enter, refuse }));
    try {
      return await request();
    } finally {
      this.#letNext();
    }
  }

  /** Refuses all that wait: the server answers nobody. */
  refuseAll(error: Error): void {
    const waiting = this.#waiting.slice(this.#next);
    this.#waiting = [];
    this.#next = 0;
    for (const { refuse } of waiting) refuse(error);
  }

  #letNext(): void {
    while (this.#next < this.#waiting.length) {
      const next = this.#waiting[this.#next++];
      if (this.#next > 1_000) this.#waiting = this.#waiting.slice(this.#next + (this.#next = 0));
      if (next?.wanted()) return next.enter();
      next?.refuse(new GivenUpError());
    }
    this.#waiting = [];
    this.#next = 0;
    this.#open++;
  }
}
