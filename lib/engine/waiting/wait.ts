import type { Attempt, Busy, Claim, Grant, Waiter } from '../../backends/backend.js';
import { type Asker, ask, NoAnswerError } from '../asking/ask.js';
import type { Due } from '../time/timer-queue.js';
import type { Lease } from '../leases/lease.js';
import type { Successor } from '../leases/local-hand-over.js';
import { orWarn } from '../asking/or-warn.js';
import type { ResolvedOptions } from '../options/options.js';
import type { EngineParts } from '../parts.js';
import type { NotYet } from '../leases/validity.js';

/** A server that answers at all is given this long, in milliseconds, also when the wait is shorter. */
const SHORTEST_CALL_MS = 600;
/** After an unanswered question, in milliseconds; doubled each time. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;
/** Looks that are further off than `LONGEST_POLL_MS` fall on such a grid, so that those of many waiters go to the server together. */
const LOOK_GRID_MS = 25;
/** Without a line on the server: how soon to ask again, at first and at most. */
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 1_000;

/** How waiting for one key ended. */
export type WaitOutcome =
  /** Ours, believed from `since` for `ttl`. */
  | {
      readonly outcome: 'granted';
      readonly fencingToken: bigint | undefined;
      readonly since: number;
      readonly ttl: number;
    }
  /** Ours, from another owner of this process. */
  | { readonly outcome: 'taken over'; readonly fencingToken: bigint; readonly lease: Lease }
  | { readonly outcome: 'busy'; readonly holder: string | undefined }
  /** In use as another sort of lock. */
  | { readonly outcome: 'clash'; readonly limit: number }
  /** The server did not answer until the end. */
  | { readonly outcome: 'unknown'; readonly error: unknown }
  /** Called off, by the caller's signal or by closing. */
  | { readonly outcome: 'cancelled'; readonly reason: unknown };

export interface WaitListener {
  /** The server said "not yet", for the first time or again after not answering. */
  onBusy(holder: string | undefined): void;
  /** An attempt that had timed out or was given up turned out to be granted after all, or to stand in line. */
  onLate(claim: Claim): void;
}

/**
 * The wait of one claim for one key: ask, stand in line, be pushed to or look again, until it is ours or time is up. It leaves
 * taking back what the server may hold to its caller.
 */
export class Wait implements Waiter, Asker<Attempt>, Due, Successor {
  due: Due['due'];
  ahead: string | undefined;
  #taken: WaitOutcome | undefined;
  #pushed: Grant | undefined;
  #look = false;
  #cancelled: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;
  #giveUp: (() => void) | undefined;
  #question: Promise<Attempt> | undefined;
  #unwatch: (() => void) | undefined;
  readonly #patient: boolean;
  #asked = 0;
  #failures = 0;
  /** What the server said last, when, and how soon to look again. Until it has once said "not yet", nothing tells how old a push is. */
  #last: WaitOutcome = { outcome: 'busy', holder: undefined };
  #notYet: NotYet;
  #lookAfter = 0;

  /**
   * @param deadline when to give up; in the past: ask once
   * @param options `renew`: one that is not kept alive counts its lease from the server's word only
   */
  constructor(
    private readonly parts: EngineParts,
    readonly claim: Claim,
    private readonly deadline: number,
    private readonly listener: WaitListener,
    private readonly options: Pick<ResolvedOptions, 'renew' | 'fair'>,
  ) {
    const now = parts.clock.now();
    this.#patient = deadline > now;
    this.#notYet = { sentAt: now, at: undefined };
  }

  granted(grant: Grant): void {
    this.#pushed = grant;
    this.#wake?.();
  }

  get waiting(): boolean {
    return this.#wake !== undefined && !this.#pushed && !this.#look && !this.#cancelled;
  }

  get fair(): boolean {
    return this.options.fair;
  }

  takeOver(lease: Lease, fencingToken: bigint): void {
    this.#taken = { outcome: 'taken over', lease, fencingToken };
    this.#wake?.();
  }

  look(): void {
    this.#look = true;
    this.#wake?.();
  }

  /** The time of its next look, or its deadline, has come. */
  wake(): void {
    this.#wake?.();
  }

  late(answer: Attempt): void {
    // Still waiting, it need not wait any longer.
    if (answer.granted) this.look();
    const inLine = this.#patient && this.parts.backend.traits.fifo && !('limit' in answer);
    if (answer.granted || inLine) this.listener.onLate(this.claim);
  }

  canGiveUp(giveUp: () => void): void {
    this.#giveUp = giveUp;
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    if (this.#question) this.parts.undo.expect(this.#question);
    this.#giveUp?.();
    this.#wake?.();
  }

  /** Asks and, if it has to, waits. */
  async take(): Promise<WaitOutcome> {
    return (await this.ask()) ?? this.wait();
  }

  /** Asks once. Resolves to how it ended, if it is over with that; otherwise it goes on with `wait`. */
  ask(): Promise<WaitOutcome | undefined> {
    const { clock, callTimeout, family, backend } = this.parts;
    const sentAt = clock.now();
    const waiter = this.#patient && backend.traits.fifo ? this : undefined;
    const limit = this.#patient
      ? Math.min(callTimeout, Math.max(this.deadline - sentAt, SHORTEST_CALL_MS))
      : callTimeout;
    this.#look = false;
    return ask(clock, limit, () => (this.#question = family.attempt(this.claim, waiter)), this).then(
      (answer) => {
        try {
          return this.#heard(answer, sentAt);
        } catch (error) {
          // A backend that answers nonsense, or cannot watch: whatever failed, the claim has to be taken back.
          return this.#heardNothing(error);
        }
      },
      (error: unknown) => this.#heardNothing(error, limit < callTimeout && error instanceof NoAnswerError),
    );
  }

  /** After `ask` came to no end. */
  async wait(): Promise<WaitOutcome> {
    try {
      for (;;) {
        const given = await this.#pause(this.#lookAfter, this.#notYet);
        if (given) return given;
        if (this.#cancelled) return { outcome: 'cancelled', reason: this.#cancelled.reason };
        if (this.parts.clock.now() >= this.deadline) return this.#last;
        const outcome = await this.ask();
        if (outcome) return outcome;
      }
    } finally {
      // What it wakes from here on sleeps no more, and its failure must not take the place of a grant.
      orWarn('LockBackend', () => this.#unwatch?.());
      this.parts.handOver.leave(this);
    }
  }

  #heard(answer: Attempt, sentAt: number): WaitOutcome | undefined {
    this.#question = undefined;
    if (answer.granted) return granted(answer, sentAt, this.claim.ttl);
    if ('limit' in answer) return { outcome: 'clash', limit: answer.limit };
    this.#failures = 0;
    if (this.#last.outcome !== 'busy' || this.#asked === 0) this.listener.onBusy(answer.holder);
    this.#last = { outcome: 'busy', holder: answer.holder };
    this.#notYet = { sentAt, at: answer.at };
    this.#lookAfter = this.#untilNextLook(answer, this.#asked++);
    if (!this.#patient) return this.#last;
    // A key let go before the watch stands wakes nobody; the next look comes all the same, and soon at first.
    const { backend, handOver } = this.parts;
    if (this.options.renew && this.claim.mode === 'exclusive' && this.claim.limit === 1)
      handOver.stand(this, answer.ahead);
    if (!backend.traits.fifo) this.#unwatch ??= backend.watch?.(this.claim.key, () => this.look());
    return undefined;
  }

  #heardNothing(error: unknown, cutShort = false): WaitOutcome | undefined {
    this.#asked++;
    // Cut short by the end of the wait, it tells less than the one before.
    if (!cutShort || this.#last.outcome !== 'unknown') this.#last = { outcome: 'unknown', error };
    this.#lookAfter = this.#jittered(Math.min(FIRST_PAUSE_MS * 2 ** this.#failures++, LONGEST_PAUSE_MS));
    return this.#patient ? undefined : this.#last;
  }

  #untilNextLook(answer: Busy, asked: number): number {
    const said = answer.retryAfterMs ?? LONGEST_POLL_MS;
    if (this.parts.backend.traits.fifo) return said;
    return Math.min(said, this.#jittered(Math.min(FIRST_POLL_MS * 2 ** Math.min(asked, 10), LONGEST_POLL_MS)));
  }

  #jittered(milliseconds: number): number {
    return milliseconds * (0.5 + this.parts.random() / 2);
  }

  /** Waits until it is time to ask again. Resolves to the grant if it was pushed meanwhile, or came from within the process. */
  async #pause(milliseconds: number, notYet: NotYet): Promise<WaitOutcome | undefined> {
    const { clock } = this.parts;
    const next = clock.now() + milliseconds;
    const look = milliseconds < LONGEST_POLL_MS ? next : Math.ceil(next / LOOK_GRID_MS) * LOOK_GRID_MS;
    const until = Math.min(look, this.deadline);
    while (!this.#cancelled && !this.#look) {
      const now = clock.now();
      if (this.#pushed) {
        const grant = this.#pushed;
        this.#pushed = undefined;
        const since = this.parts.family.pushedSince(notYet, grant.at, now);
        // A grant that cannot be dated is only a hint to look.
        return since === undefined ? undefined : granted(grant, since, this.claim.claimTtl);
      }
      if (now >= until) return undefined;
      await this.#sleep(until - now);
      if (this.#taken) return this.#taken;
    }
    return undefined;
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const { clock, looks } = this.parts;
      looks.at(clock.now() + milliseconds, this);
      this.#wake = () => {
        this.#wake = undefined;
        looks.remove(this);
        resolve();
      };
    });
  }
}

function granted({ fencingToken }: Grant, since: number, ttl: number): WaitOutcome {
  return { outcome: 'granted', fencingToken, since, ttl };
}
