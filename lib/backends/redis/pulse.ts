import { isRefusal } from './refusals.js';

/** How often a connection of ours is looked after, in milliseconds; one that is in use is asked each time. */
export const BEAT_MS = 500;
/** How long an answer may take; the server may be busy, and so may this process. */
const SILENT_MS = 1_500;
/** How often one that is not in use is asked. */
const IDLE_MS = 5_000;

/**
 * Finds out that a connection went silent: a path that was cut without a word, as by a firewall or a virtual machine that moved, tells
 * no client library for a quarter of an hour. A question that is still unanswered after a while means silence.
 */
export class Pulse {
  #askedAt: number | undefined;
  #answeredAt = performance.now();
  #beatAt = performance.now();

  /**
   * @param ping asks the server for a sign of life; also an error of its own is one
   * @param silentMs how long an answer may take, in milliseconds
   * @param onSilent called at each beat while the connection is silent
   * @param onAlive called when it answers
   */
  constructor(
    private readonly ping: () => Promise<unknown>,
    private readonly onSilent: () => void,
    private readonly silentMs: number = SILENT_MS,
    private readonly onAlive: () => void = () => undefined,
  ) {}

  /** @param used whether somebody relies on the connection just now */
  beat(used: boolean, idleMs = IDLE_MS): void {
    const now = performance.now();
    const late = now - this.#beatAt > BEAT_MS * 1.5;
    this.#beatAt = now;
    if (this.#askedAt !== undefined) {
      // While this process itself stood still, nobody could hear an answer: the time begins anew.
      if (late) this.#askedAt = now;
      // The margin is for timers that fire early.
      else if (now - this.#askedAt >= this.silentMs - 50) this.onSilent();
      return;
    }
    if (used || now - this.#answeredAt >= idleMs) this.#ask(now);
  }

  #ask(now: number): void {
    this.#askedAt = now;
    this.ping().then(
      () => this.#answered(),
      (error: unknown) => {
        // Without an answer of the server's it proves nothing; the connection itself says when it ended.
        if (isRefusal(error)) this.#answered();
      },
    );
  }

  #answered(): void {
    this.#askedAt = undefined;
    this.#answeredAt = performance.now();
    this.onAlive();
  }
}
