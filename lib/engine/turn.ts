import type { Attempt, Claim, Grant, Waiter } from '../backends/backend.js';
import { ask } from './call.js';
import type { Clock } from './clock.js';
import type { Family } from './family.js';
import { type NotYet, pushedSince } from './validity.js';

/** After an unanswered question, in milliseconds; doubled each time. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
/** Without a line on the server: how soon to ask again, at first and at most. */
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 1_000;

/** How waiting for one key ended. */
export type Turn =
  /** Ours, believed from `since` for `ttl`. */
  | { readonly outcome: 'granted'; readonly grant: Grant; readonly since: number; readonly ttl: number; readonly waited: boolean }
  | { readonly outcome: 'busy'; readonly holder: string | undefined }
  /** In use as another sort of lock. */
  | { readonly outcome: 'clash'; readonly limit: number }
  /** The server did not answer until the end. */
  | { readonly outcome: 'unknown'; readonly error: unknown }
  /** Called off, by the caller's signal or by closing. */
  | { readonly outcome: 'cancelled'; readonly reason: unknown };

export interface TurnOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly family: Family;
  readonly callTimeout: number;
  readonly claim: Claim;
  /** When to give up; in the past: ask once. */
  readonly deadline: number;
  /** Whether the server keeps a line that grants are pushed from. */
  readonly line: boolean;
  readonly watch: ((wake: () => void) => () => void) | undefined;
  readonly onBusy: (holder: string | undefined) => void;
  /** An attempt that was given up turned out to be granted after all. */
  readonly onLateGrant: () => void;
}

/**
 * The wait of one claim for one key: ask, stand in line, be pushed to or look again, until it is ours or time is up. It leaves
 * taking back what the server may hold to its caller.
 */
export class TurnTaker implements Waiter {
  #pushed: Grant | undefined;
  #look = false;
  #cancelled: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;
  #over = false;

  constructor(private readonly options: TurnOptions) {}

  granted(grant: Grant): void {
    this.#pushed = grant;
    this.#wake?.();
  }

  look(): void {
    this.#look = true;
    this.#wake?.();
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    this.#wake?.();
  }

  async take(): Promise<Turn> {
    const { watch } = this.options;
    let unwatch: (() => void) | undefined;
    try {
      return await this.#take(() => {
        unwatch ??= watch?.(() => this.look());
      });
    } finally {
      this.#over = true;
      unwatch?.();
    }
  }

  async #take(watch: () => void): Promise<Turn> {
    const { clock, claim, deadline, line, onBusy } = this.options;
    const patient = deadline > clock.now();
    // Until the server has once said "not yet", a push can only answer a question we sent from here on.
    let notYet: NotYet = { sentAt: clock.now(), at: undefined };
    let last: Turn = { outcome: 'busy', holder: undefined };
    let failures = 0;
    for (let asked = 0; ; asked++) {
      if (this.#cancelled) return { outcome: 'cancelled', reason: this.#cancelled.reason };
      this.#look = false;
      const sentAt = clock.now();
      let pause: number;
      try {
        const answer = await this.#ask(patient && line);
        failures = 0;
        if (answer.granted) return { outcome: 'granted', grant: answer, since: sentAt, ttl: claim.ttl, waited: asked > 0 };
        if ('limit' in answer) return { outcome: 'clash', limit: answer.limit };
        if (last.outcome !== 'busy' || asked === 0) onBusy(answer.holder);
        last = { outcome: 'busy', holder: answer.holder };
        notYet = { sentAt, at: answer.at };
        pause = answer.retryAfterMs ?? LONGEST_POLL_MS;
        if (!line) {
          const poll = Math.min(FIRST_POLL_MS * 2 ** Math.min(asked, 10), LONGEST_POLL_MS);
          pause = Math.min(pause, poll * (0.5 + this.options.random() / 2));
          // A key that was let go before the watch stood wakes nobody, so after this the key is asked for once more.
          watch();
        }
      } catch (error) {
        last = { outcome: 'unknown', error };
        pause = Math.min(FIRST_PAUSE_MS * 2 ** failures++, LONGEST_PAUSE_MS) * (0.5 + this.options.random() / 2);
      }
      if (!patient) return last;
      const pushed = await this.#pause(pause, notYet);
      if (pushed) return pushed;
      if (clock.now() >= deadline && !this.#cancelled) return last;
    }
  }

  #ask(wait: boolean): Promise<Attempt> {
    const { clock, callTimeout, family, claim, onLateGrant } = this.options;
    return ask(
      clock,
      callTimeout,
      () => family.attempt(claim, wait ? this : undefined),
      // The question was given up, and with it maybe the whole wait; while that goes on it asks again and is told.
      (late) => {
        if (late.granted && this.#over) onLateGrant();
      },
    );
  }

  /** Waits until it is time to ask again. Resolves to the turn if it was pushed meanwhile. */
  async #pause(milliseconds: number, notYet: NotYet): Promise<Turn | undefined> {
    const { clock, deadline, claim } = this.options;
    const until = Math.min(clock.now() + milliseconds, deadline);
    while (!this.#cancelled && !this.#look) {
      const now = clock.now();
      if (this.#pushed) {
        const grant = this.#pushed;
        this.#pushed = undefined;
        const since = pushedSince(notYet, grant.at, now);
        // A grant that cannot be dated is only a hint; one that lay about too long turns out to be over in the next step.
        if (since === undefined) return undefined;
        return { outcome: 'granted', grant, since, ttl: claim.claimTtl, waited: true };
      }
      if (now >= until) return undefined;
      await this.#sleep(until - now);
    }
    return undefined;
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.after(milliseconds, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }
}
