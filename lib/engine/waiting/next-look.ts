import type { Busy } from '../../backends/backend.js';

/** First delay after an unanswered question, in milliseconds. It doubles each time. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
/** For a server without a line: first and longest delay before asking again. */
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 1_000;
/** The grid for looks that are further off than `LONGEST_POLL_MS`, so that many waiters ask the server together. */
const LOOK_GRID_MS = 25;

/** Decides when a waiter asks the server again if no push arrives. */
export class NextLook {
  #afterMs = 0;
  #asked = 0;
  #failures = 0;

  constructor(
    /** Whether the server keeps a line and pushes grants. Otherwise the waiter polls. */
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

  /** The time of the next look, counted from now. */
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
