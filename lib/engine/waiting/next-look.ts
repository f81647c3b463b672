import type { Busy } from '../../backends/backend.js';

/** After an unanswered question, in milliseconds; doubled each time. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
/** Without a line on the server: how soon to ask again, at first and at most. */
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 1_000;
/** Looks that are further off than `LONGEST_POLL_MS` fall on such a grid, so that those of many waiters go to the server together. */
const LOOK_GRID_MS = 25;

/** When one waiter asks the server again, if nothing is pushed to it. */
export class NextLook {
  #afterMs = 0;
  #asked = 0;
  #failures = 0;

  constructor(
    /** Whether the server keeps a line and pushes grants; otherwise the key has to be polled. */
    private readonly pushed: boolean,
    private readonly random: () => number,
  ) {}

  /** Whether the server has not answered yet. */
  get isFirst(): boolean {
    return this.#asked === 0;
  }

  afterBusy({ retryAfterMs = LONGEST_POLL_MS }: Busy): void {
    this.#afterMs = this.pushed ? retryAfterMs : Math.min(retryAfterMs, this.#pollAfter());
    this.#failures = 0;
    this.#asked++;
  }

  afterSilence(): void {
    this.#afterMs = this.#jittered(Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS));
    this.#failures++;
    this.#asked++;
  }

  /** The time of it, as of now. */
  from(now: number): number {
    const next = now + this.#afterMs;
    return this.#afterMs < LONGEST_POLL_MS ? next : Math.ceil(next / LOOK_GRID_MS) * LOOK_GRID_MS;
  }

  #pollAfter(): number {
    return this.#jittered(Math.min(FIRST_POLL_MS * 2 ** Math.min(this.#asked, 10), LONGEST_POLL_MS));
  }

  #jittered(milliseconds: number): number {
    return milliseconds * (0.5 + this.random() / 2);
  }
}
