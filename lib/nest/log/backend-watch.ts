import { type Clock, SystemClock } from '../../engine/time/clock.js';

/** How soon, and how slowly at most, a backend that is away is asked again, in milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

export interface BackendWatchListener {
  /** It went away: no lock can be taken there. */
  away(error: unknown): void;
  /** It came back, after so many milliseconds. */
  back(milliseconds: number): void;
}

/** Finds out whether a failure means that the backend is away, and then when it is back. Without a failure it does nothing. */
export class BackendWatch {
  #isAsking = false;
  #cancel: (() => void) | undefined;
  #isOver = false;

  /** @param ping rejects when no lock can be taken */
  constructor(
    private readonly ping: () => Promise<void>,
    private readonly listener: BackendWatchListener,
    private readonly clock: Clock = new SystemClock(),
  ) {}

  /** Something failed there. */
  doubt(): void {
    if (this.#isAsking || this.#isOver) return;
    this.#isAsking = true;
    void this.#ask().finally(() => (this.#isAsking = false));
  }

  stop(): void {
    this.#isOver = true;
    this.#cancel?.();
  }

  async #ask(): Promise<void> {
    const failedAt = this.clock.now();
    const error = await this.#failure();
    if (error === undefined || this.#isOver) return;
    this.listener.away(error.reason);
    for (let pause = FIRST_PAUSE_MS; !this.#isOver; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      await new Promise<void>((resolve) => {
        const cancel = this.clock.after(pause, resolve, true);
        this.#cancel = () => {
          cancel();
          resolve();
        };
      });
      if (this.#isOver || (await this.#failure()) !== undefined) continue;
      return this.listener.back(this.clock.now() - failedAt);
    }
  }

  #failure(): Promise<{ readonly reason: unknown } | undefined> {
    return this.ping().then(
      () => undefined,
      (reason: unknown) => ({ reason }),
    );
  }
}
