import type { Attempt, Claim, Grant, LockBackend, Waiter } from '../../backends/backend.js';
import { type Asker, ask, NoAnswerError } from '../asking/ask.js';
import { LONGEST_QUEUE_MS, NotAskedError, type QuestionQueue } from '../asking/question-queue.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Pacer } from '../time/pacer.js';
import type { Due, TimerQueue } from '../time/timer-queue.js';
import type { Family } from '../leases/family.js';
import type { Lease } from '../leases/lease.js';
import type { LocalHandOver, Successor } from '../leases/local-hand-over.js';
import { orWarn } from '../telling/or-warn.js';
import type { ResolvedOptions } from '../options/options.js';
import type { NotYet } from '../leases/validity.js';
import { NextLook } from './next-look.js';
import type { WaitOutcome } from './wait-outcome.js';

/** Minimum time limit of a call, in milliseconds, even if less of the wait is left. */
const SHORTEST_CALL_MS = 600;

export interface WaitListener {
  /** The server answered "not yet", for the first time or again after a silence. */
  onBusy(holder: string | undefined): void;
  /** An attempt that had timed out or was given up was granted after all, or stands in line. */
  onLate(claim: Claim): void;
}

export interface WaitTools {
  readonly clock: Clock;
  readonly random: () => number;
  /** Time limit of a single call to the server, in milliseconds. */
  readonly callTimeout: number;
  readonly backend: Pick<LockBackend, 'traits' | 'watch'>;
  readonly family: Pick<Family, 'attempt' | 'pushedSince'>;
  readonly questions: Pick<QuestionQueue, 'run'>;
  /** Closing waits for questions that were given up. */
  readonly retries: Pick<ReleaseRetries, 'expect'>;
  readonly handOver: Pick<LocalHandOver, 'stand' | 'leave'>;
  /** When each waiter asks the server again. */
  readonly looks: Pick<TimerQueue<Wait>, 'at' | 'remove'>;
  /** Thousands may be told to look together, or fail together. */
  readonly pacer: Pick<Pacer, 'run'>;
}

/**
 * The wait of one claim for one key. It asks, stands in line, and receives a push or asks again, until it has the key or time is up. The
 * caller withdraws what the server may still have.
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
  /** The server's last answer. Before the first "not yet", nothing tells how old a push is. */
  #last: WaitOutcome = { outcome: 'busy', holder: undefined };
  #notYet: NotYet;
  readonly #nextLook: NextLook;

  /**
   * @param deadline when to give up; a deadline in the past asks once
   * @param options `renew`: a lock without renewal trusts its lease only from the server's answer on
   */
  constructor(
    private readonly tools: WaitTools,
    readonly claim: Claim,
    private readonly deadline: number,
    private readonly listener: WaitListener,
    private readonly options: Pick<ResolvedOptions, 'renew' | 'fair'>,
    /** Whether the server may know of the claim. */
    public wasAsked = false,
  ) {
    const now = tools.clock.now();
    this.#patient = deadline > now;
    this.#notYet = { sentAt: now, at: undefined };
    this.#nextLook = new NextLook(tools.backend.traits.fifo, tools.random);
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
    if (this.#look) return;
    this.#look = true;
    if (this.#wake) this.tools.pacer.run(() => this.#wake?.());
  }

  /** The time of the next look, or the deadline, has come. */
  wake(): void {
    this.#wake?.();
  }

  late(answer: Attempt): void {
    // The claim still waits, so it can look at once.
    if (answer.granted) this.look();
    const inLine = this.#patient && this.tools.backend.traits.fifo && !('limit' in answer);
    if (answer.granted || inLine) this.listener.onLate(this.claim);
  }

  canGiveUp(giveUp: () => void): void {
    this.#giveUp = giveUp;
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    if (this.#question) this.tools.retries.expect(this.#question);
    this.#giveUp?.();
    this.#wake?.();
  }

  /** Asks, and waits if it must. */
  async take(): Promise<WaitOutcome> {
    return (await this.ask()) ?? this.wait();
  }

  /** Asks once. Resolves to the outcome, or to `undefined` when you must `wait`. */
  ask(): Promise<WaitOutcome | undefined> {
    const { clock, callTimeout, family, backend, questions } = this.tools;
    const waiter = this.#patient && backend.traits.fifo ? this : undefined;
    let sentAt = clock.now();
    let limit = callTimeout;
    this.#look = false;
    const send = (): Promise<Attempt> => {
      this.wasAsked = true;
      sentAt = clock.now();
      if (this.#patient) limit = Math.min(callTimeout, Math.max(this.deadline - sentAt, SHORTEST_CALL_MS));
      return ask(clock, limit, () => (this.#question = family.attempt(this.claim, waiter)), this);
    };
    const atMost = this.#patient ? this.deadline - sentAt : LONGEST_QUEUE_MS;
    return questions.run(send, { atMost, canLeave: (leave) => (this.#giveUp = leave) }).then(
      (answer) => {
        try {
          return this.#heard(answer, sentAt);
        } catch (error) {
          // The backend answered nonsense or cannot watch. Whatever failed, the claim must be withdrawn.
          return this.#heardNothing(error);
        }
      },
      (error: unknown) =>
        new Promise((resolve) => {
          this.tools.pacer.run(() => resolve(this.#failed(error, limit < callTimeout)));
        }),
    );
  }

  /** Waits after an `ask` without an outcome. */
  async wait(): Promise<WaitOutcome> {
    try {
      for (;;) {
        const given = await this.#pause();
        if (given) return given;
        if (this.#cancelled) return { outcome: 'cancelled', reason: this.#cancelled.reason };
        if (this.tools.clock.now() >= this.deadline) return this.#last;
        const outcome = await this.ask();
        if (outcome) return outcome;
      }
    } finally {
      // A waiter that this wakes no longer sleeps. A failure here must not replace a grant.
      orWarn('LockBackend', () => this.#unwatch?.());
      this.tools.handOver.leave(this);
    }
  }

  #heard(answer: Attempt, sentAt: number): WaitOutcome | undefined {
    this.#question = undefined;
    if (answer.granted) return granted(answer, sentAt, this.claim.ttl);
    if ('limit' in answer) return { outcome: 'conflict', limit: answer.limit };
    if (this.#last.outcome !== 'busy' || this.#nextLook.isFirst) this.listener.onBusy(answer.holder);
    this.#last = { outcome: 'busy', holder: answer.holder };
    this.#notYet = { sentAt, at: answer.at };
    this.#nextLook.afterBusy(answer);
    if (!this.#patient) return this.#last;
    // A release before the watch stands wakes nobody, but the next look still comes, and at first it comes soon.
    const { backend, handOver } = this.tools;
    if (this.options.renew && this.claim.mode === 'exclusive' && this.claim.limit === 1)
      handOver.stand(this, answer.ahead);
    if (!backend.traits.fifo) this.#unwatch ??= backend.watch?.(this.claim.key, () => this.look());
    return undefined;
  }

  #failed(error: unknown, short: boolean): WaitOutcome | undefined {
    if (error instanceof NotAskedError) return this.#notAsked(error);
    return this.#heardNothing(error, short && error instanceof NoAnswerError);
  }

  #heardNothing(error: unknown, cutShort = false): WaitOutcome | undefined {
    // The end of the wait cut this question short, so the answer before it says more.
    if (!cutShort || this.#last.outcome !== 'unknown') this.#last = { outcome: 'unknown', error };
    this.#nextLook.afterSilence();
    return this.#patient ? undefined : this.#last;
  }

  /** The question was never sent, so the server's last answer still stands. */
  #notAsked(error: NotAskedError): WaitOutcome | undefined {
    if (this.#nextLook.isFirst) this.#last = { outcome: 'unknown', error };
    return this.#patient ? undefined : this.#last;
  }

  /** Sleeps until it is time to ask again. Resolves to the grant if a push or another owner of this process brought it meanwhile. */
  async #pause(): Promise<WaitOutcome | undefined> {
    const { clock } = this.tools;
    const until = Math.min(this.#nextLook.from(clock.now()), this.deadline);
    for (;;) {
      switch (this.#reasonToWake(until)) {
        case 'taken over':
          return this.#taken;
        case 'pushed':
          return this.#takePushed();
        case 'cancelled':
        case 'look':
        case 'time':
          return undefined;
        case undefined:
          await this.#sleep(until);
      }
    }
  }

  #reasonToWake(until: number): 'taken over' | 'cancelled' | 'look' | 'pushed' | 'time' | undefined {
    if (this.#taken) return 'taken over';
    if (this.#cancelled) return 'cancelled';
    if (this.#look) return 'look';
    if (this.#pushed) return 'pushed';
    return this.tools.clock.now() >= until ? 'time' : undefined;
  }

  /** A grant without a date is only a hint to ask. */
  #takePushed(): WaitOutcome | undefined {
    const grant = this.#pushed;
    this.#pushed = undefined;
    const since = grant && this.tools.family.pushedSince(this.#notYet, grant.at, this.tools.clock.now());
    return !grant || since === undefined ? undefined : granted(grant, since, this.claim.claimTtl);
  }

  #sleep(until: number): Promise<void> {
    return new Promise((resolve) => {
      const { looks } = this.tools;
      looks.at(until, this);
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
