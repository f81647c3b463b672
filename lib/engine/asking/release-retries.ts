import { ask } from './ask.js';
import { LONGEST_QUEUE_MS, QuestionQueue } from './question-queue.js';
import type { Clock } from '../time/clock.js';

/** First and longest delay before an unconfirmed release is tried again, in milliseconds. */
const FIRST_RETRY_MS = 50;
const SLOWEST_RETRY_MS = 2_000;

/** The result of a release: the server's answer, or that there was none. */
export type Released = boolean | 'unknown';

/** A release that the server never confirmed. */
export interface LeftBehind {
  /** The key on the server, with its prefix. */
  readonly key: string;
  readonly error: unknown;
}

/**
 * Takes back what the server may still have for us: an unconfirmed release, or an attempt without an answer. It tries in the background
 * until the server confirms it, or until the server must have forgotten it.
 */
export class ReleaseRetries {
  readonly #pending = new Set<Promise<void>>();
  readonly #stops = new Set<() => void>();
  readonly #unconfirmed = new Set<LeftBehind>();
  #over = false;

  constructor(
    private readonly clock: Clock,
    private readonly callTimeout: number,
    private readonly questions = new QuestionQueue(clock),
  ) {}

  /** Tries once and waits for the result. Without a confirmation it goes on in the background. */
  release(
    release: () => Promise<boolean>,
    forgottenAfterMs: number,
    onUnknown: (error: unknown) => void,
    key?: string,
  ): Promise<Released> {
    return this.#ask<Released>(release).catch((error: unknown) => {
      onUnknown(error);
      this.#retry(release, this.clock.now() + forgottenAfterMs, key === undefined ? undefined : { key, error });
      return 'unknown';
    });
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Something on its way that ends by itself within the time limit of a call. Closing waits for it. */
  expect(onItsWay: Promise<unknown>): void {
    const over = ask(this.clock, this.callTimeout, () => onItsWay)
      .then(noop, noop)
      .finally(() => this.#pending.delete(over));
    this.#pending.add(over);
  }

  /** Waits until nothing is left to take back, or until the time is over. After that nothing is tried any more. */
  async settle(milliseconds: number): Promise<void> {
    const until = this.clock.now() + milliseconds;
    while (this.#pending.size > 0 && this.clock.now() < until) {
      await ask(this.clock, until - this.clock.now(), () => Promise.all(this.#pending)).catch(noop);
    }
    this.#over = true;
    for (const stop of this.#stops) stop();
  }

  /** The releases that are still unconfirmed. */
  get leftBehind(): readonly LeftBehind[] {
    return [...this.#unconfirmed];
  }

  #retry(release: () => Promise<boolean>, until: number, about: LeftBehind | undefined): void {
    if (about) this.#unconfirmed.add(about);
    const retrying = this.#tryUntil(release, until)
      .then((isOver) => {
        if (about && isOver) this.#unconfirmed.delete(about);
      })
      .finally(() => this.#pending.delete(retrying));
    this.#pending.add(retrying);
  }

  /** Resolves to whether nothing of it can be left on the server. */
  async #tryUntil(release: () => Promise<boolean>, until: number): Promise<boolean> {
    for (
      let pause = FIRST_RETRY_MS;
      !this.#over && this.clock.now() < until;
      pause = Math.min(pause * 2, SLOWEST_RETRY_MS)
    ) {
      if (!(await this.#pause(pause))) return false;
      try {
        await this.#ask(release);
        return true;
      } catch {
        // Still unknown.
      }
    }
    return !this.#over;
  }

  /** Goes ahead of those who ask for a lock, because they may wait for this one. */
  #ask<T>(release: () => Promise<T>): Promise<T> {
    const send = (): Promise<T> => ask(this.clock, this.callTimeout, release);
    return this.questions.run(send, { atMost: LONGEST_QUEUE_MS, first: true });
  }

  /** Background work, which does not keep the process alive. Resolves to whether to go on. */
  #pause(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (goOn: boolean): void => {
        this.#stops.delete(stop);
        resolve(goOn);
      };
      const cancel = this.clock.after(milliseconds, () => end(true), true);
      const stop = (): void => {
        cancel();
        end(false);
      };
      this.#stops.add(stop);
    });
  }
}

const noop = (): void => undefined;
