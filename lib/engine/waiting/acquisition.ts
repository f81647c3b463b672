import type { Claim, LockBackend } from '../../backends/backend.js';
import { LockTimeoutError } from '../../lock/errors.js';
import { NotAskedError } from '../asking/question-queue.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import type { ReleaseRetries } from '../asking/release-retries.js';
import type { Hold } from '../holding/hold.js';
import type { Family } from '../leases/family.js';
import type { HeldKey } from '../leases/held-key.js';
import { joined } from '../options/keys.js';
import type { ResolvedOptions } from '../options/options.js';
import { onAbort } from '../time/abort.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import { Claims, type ClaimTools } from './claims.js';
import { AcquisitionEvents, type AcquisitionEventsTools } from './acquisition-events.js';
import { askForAll, type AskForAllListener } from './ask-for-all.js';
import type { Failure } from './failure.js';
import { Wait, type WaitListener, type WaitTools } from './wait.js';
import type { WaitOutcome } from './wait-outcome.js';

/** How an attempt at one key or at all keys ended. */
type Outcome = { readonly held: readonly HeldKey[] } | Failure;

const OVER_BEFORE_IT_BEGAN = new Error('the answer came after the lease had ended');

export interface AcquisitionTools extends WaitTools, ClaimTools, AcquisitionEventsTools {
  readonly backend: WaitTools['backend'] & Pick<LockBackend, 'kind'>;
  readonly family: Pick<Family, 'attempt' | 'attemptAll' | 'pushedSince' | 'attach' | 'detach'>;
  readonly retries: Pick<ReleaseRetries, 'expect'>;
  /** The call has all of its keys. */
  readonly onAcquired: (held: readonly HeldKey[], options: ResolvedOptions, observer: LockObserver | undefined) => Hold;
  /** The call is over, however it ended. */
  readonly onOver: (acquisition: Acquisition) => void;
}

/** One call of `acquire`: all of its keys or none, within one `wait`. */
export class Acquisition implements WaitListener, Listed {
  place = NOWHERE;
  readonly #deadline: number;
  readonly #claims: Claims;
  readonly #events: AcquisitionEvents;
  #wait: Wait | undefined;
  #giveUp: (() => void) | undefined;
  #stopListening: (() => void) | undefined;
  #hold: Hold | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    private readonly keys: readonly string[],
    private readonly options: ResolvedOptions,
    private readonly tools: AcquisitionTools,
  ) {
    this.#claims = new Claims(options, tools);
    this.#events = new AcquisitionEvents(keys, options, tools);
    this.#deadline = this.#events.startedAt + options.wait;
  }

  get key(): string {
    return joined(this.keys);
  }

  /** Cancels the call, which then rejects with the reason. */
  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    this.#giveUp?.();
    this.#wait?.cancel(reason);
  }

  /** Resolves to the lock, or to `undefined` if the key was busy and you wanted only one try. */
  run(once: boolean): Promise<Hold | undefined> {
    const { signal } = this.options;
    this.#stopListening = signal && onAbort(signal, () => this.cancel(signal.reason));
    const [key] = this.keys;
    if (this.keys.length > 1 || key === undefined) return this.#untilHeld(once, this.#several());
    // Most keys are free. This path does only what a free key needs.
    const claim = this.#claims.for(key);
    const wait = this.#waitFor(claim);
    return wait.ask().then((outcome) => {
      const held = this.#cancelled ? undefined : this.#granted(key, claim, outcome);
      if (!held) return this.#untilHeld(once, this.#afterFirstAnswer(key, claim, wait, outcome));
      const hold = this.#acquired([held]);
      this.#over();
      return hold;
    });
  }

  onBusy(holder: string | undefined): void {
    this.#events.busy(this.#claims.owner, holder);
  }

  /**
   * Withdraws a claim that was granted after the call gave up or released, because the server may have received the question after the
   * release. A call that still waits or holds needs nothing: asking again gives the same grant.
   */
  onLate(claim: Claim): void {
    const { retries, withdrawals } = this.tools;
    if (this.#claims.isWithdrawn(claim)) retries.expect(withdrawals.withdraw(claim));
    if (this.#hold?.released) retries.expect(this.#hold.releaseAgain(claim));
  }

  async #untilHeld(once: boolean, first: Promise<Outcome>): Promise<Hold | undefined> {
    try {
      for (let outcome = await first; ; outcome = await this.#all()) {
        // All keys are granted, and none was lost before the last grant came.
        if ('held' in outcome && !this.#cancelled && outcome.held.every(({ lease }) => lease.live)) {
          return this.#acquired(outcome.held);
        }
        if ('held' in outcome) await this.#claims.rollBack(outcome.held);
        const failure = this.#failureOf(outcome);
        if (!failure) continue;
        const error = this.#events.failed(this.#claims.owner, failure);
        if (once && error instanceof LockTimeoutError) return undefined;
        throw error;
      }
    } finally {
      this.#over();
    }
  }

  #over(): void {
    this.#stopListening?.();
    this.tools.onOver(this);
  }

  /** Why the call failed; `undefined` while there is time to try again. */
  #failureOf(outcome: Outcome): Failure | undefined {
    if (this.#cancelled) return { cancelled: this.#cancelled.reason };
    if (!('held' in outcome)) return outcome;
    return this.tools.clock.now() >= this.#deadline ? { unknown: OVER_BEFORE_IT_BEGAN } : undefined;
  }

  #all(): Promise<Outcome> {
    const [only] = this.keys;
    return this.keys.length === 1 && only !== undefined ? this.#one(only) : this.#several();
  }

  async #several(): Promise<Outcome> {
    const claims = this.keys.map((key) => this.#claims.for(key));
    const atOnce = await this.#atOnce(claims);
    if (atOnce !== 'busy' && atOnce !== 'unknown') return atOnce;
    // Waits for each key in the order that every process uses, so no circle of waiters can form.
    const held: HeldKey[] = [];
    for (const [index, key] of this.keys.entries()) {
      // Never ask again for a withdrawn claim: its withdrawal may still be on its way.
      const outcome = await this.#one(key, atOnce === 'busy' ? claims[index] : undefined);
      if (!('held' in outcome)) {
        await this.#claims.rollBack(held);
        return outcome;
      }
      held.push(...outcome.held);
    }
    return { held };
  }

  /** Takes all keys in one step, if the server can. Otherwise the caller waits for them one by one. */
  async #atOnce(claims: readonly Claim[]): Promise<Outcome | 'busy' | 'unknown'> {
    if (!this.tools.family.attemptAll) return 'busy';
    const { clock } = this.tools;
    let sentAt = clock.now();
    let failure: unknown = OVER_BEFORE_IT_BEGAN;
    const listener: AskForAllListener = {
      onSent: () => (sentAt = clock.now()),
      onLate: (claim) => this.onLate(claim),
      canGiveUp: (giveUp) => (this.#giveUp = giveUp),
    };
    try {
      const answer = await askForAll(this.tools, claims, listener, this.#patient ? this.#deadline - sentAt : undefined);
      if (!answer) return 'busy';
      if ('granted' in answer) {
        if ('limit' in answer) return { conflict: answer.limit };
        this.onBusy(answer.holder);
        return this.#patient ? 'busy' : { busy: answer.holder };
      }
      const held = claims.map((claim, index) =>
        this.#claims.attach(claim, this.keys[index] ?? '', answer[index]?.fencingToken, sentAt, claim.ttl),
      );
      if (held.every((one) => one !== undefined)) return { held };
    } catch (error) {
      if (error instanceof NotAskedError) return { unknown: error };
      failure = error;
    }
    await Promise.all(claims.map((claim) => this.#claims.withdraw(claim)));
    return this.#patient ? 'unknown' : { unknown: failure };
  }

  /** Asks for one key and waits for it. */
  async #one(key: string, claim: Claim = this.#claims.for(key)): Promise<Outcome> {
    while (!this.#cancelled) {
      const outcome = await this.#outcomeOf(key, claim, await this.#waitFor(claim).take());
      if (outcome) return outcome;
    }
    return { cancelled: this.#cancelled.reason };
  }

  /**
   * As `#one`, after the first question was asked.
   * @param first its outcome, if the call did not have to wait
   */
  async #afterFirstAnswer(key: string, claim: Claim, wait: Wait, first: WaitOutcome | undefined): Promise<Outcome> {
    return (await this.#outcomeOf(key, claim, first ?? (await wait.wait()))) ?? this.#one(key, claim);
  }

  /** The outcome of a wait for one key. `undefined` means that you must ask again. */
  async #outcomeOf(key: string, claim: Claim, waited: WaitOutcome): Promise<Outcome | undefined> {
    const held = this.#granted(key, claim, waited);
    if (held) return { held: [held] };
    // The lease was over before the grant arrived. Ask again: the server says whether the key is still ours.
    const isTimeLeft = !this.#cancelled && this.tools.clock.now() < this.#deadline;
    if (waited.outcome === 'granted' && isTimeLeft) return undefined;
    // After a single question that found the key busy, the server has nothing of ours. In all other cases an earlier question may still
    // arrive.
    const mayBeThere = this.#patient || waited.outcome !== 'busy';
    if (mayBeThere && this.#wait?.wasAsked) await this.#claims.withdraw(claim);
    switch (waited.outcome) {
      case 'busy':
        return { busy: waited.holder };
      case 'conflict':
        return { conflict: waited.limit };
      case 'cancelled':
        return { cancelled: waited.reason };
      case 'unknown':
        return { unknown: waited.error };
      default:
        return { unknown: OVER_BEFORE_IT_BEGAN };
    }
  }

  #waitFor(claim: Claim): Wait {
    const wasAsked = this.#wait?.claim === claim && this.#wait.wasAsked;
    return (this.#wait = new Wait(this.tools, claim, this.#deadline, this, this.options, wasAsked));
  }

  #granted(key: string, claim: Claim, outcome: WaitOutcome | undefined): HeldKey | undefined {
    if (outcome?.outcome === 'taken over') {
      const { lease, fencingToken } = outcome;
      return { key, claim, lease, fencingToken };
    }
    if (outcome?.outcome !== 'granted') return undefined;
    return this.#claims.attach(claim, key, outcome.fencingToken, outcome.since, outcome.ttl);
  }

  get #patient(): boolean {
    return this.options.wait > 0;
  }

  #acquired(held: readonly HeldKey[]): Hold {
    const hold = (this.#hold = this.tools.onAcquired(held, this.options, this.#events.observer));
    this.#events.acquired(hold);
    return hold;
  }
}
