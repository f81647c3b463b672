import type { Claim } from '../../backends/backend.js';
import { onAbort } from '../time/abort.js';
import { ask } from '../asking/ask.js';
import { LockTimeoutError } from '../../lock/errors.js';
import { errorOf, type Failure } from './failure.js';
import { type HeldKey, Hold } from '../holding/hold.js';
import { joined } from '../options/keys.js';
import { unconfirmed } from '../leases/local-hand-over.js';
import type { ResolvedOptions } from '../options/options.js';
import type { EngineParts } from '../parts.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import { Wait, type WaitListener, type WaitOutcome } from './wait.js';
import { type Released, withdraw, withdrawSoon } from '../asking/release-retries.js';

/** How an attempt at one key or at all of them ended. */
type Outcome = { readonly held: readonly HeldKey[] } | Failure;

const OVER_BEFORE_IT_BEGAN = new Error('the answer came after the lease had ended');

/** One call of `acquire`: all of its keys or none, within one `wait`. */
export class Acquisition implements WaitListener, Listed {
  place = NOWHERE;
  readonly #startedAt: number;
  readonly #deadline: number;
  #owner = '';
  #contended = false;
  #turn: Wait | undefined;
  #giveUp: (() => void) | undefined;
  #stopListening: (() => void) | undefined;
  #withdrawn: Set<Claim> | undefined;
  #hold: Hold | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    private readonly keys: readonly string[],
    private readonly options: ResolvedOptions,
    private readonly parts: EngineParts,
  ) {
    this.#startedAt = parts.clock.now();
    this.#deadline = this.#startedAt + options.wait;
  }

  get key(): string {
    return joined(this.keys);
  }

  /** Calls it off: it rejects with the reason. */
  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    this.#giveUp?.();
    this.#turn?.cancel(reason);
  }

  /** The lock; `undefined` if it was busy and is only to be tried once. */
  run(once: boolean): Promise<Hold | undefined> {
    const { signal } = this.options;
    this.#stopListening = signal && onAbort(signal, () => this.cancel(signal.reason));
    const [key] = this.keys;
    if (this.keys.length > 1 || key === undefined) return this.#untilHeld(once, this.#several());
    // Nearly always a key is free. Then this is all there is to do, and as little as can be.
    const claim = this.#claim(key);
    const turn = this.#turnOf(claim);
    return turn.ask().then((outcome) => {
      const held = this.#cancelled ? undefined : this.#granted(key, claim, outcome);
      if (!held) return this.#untilHeld(once, this.#one(key, claim, { turn, outcome }));
      const hold = this.#acquired([held]);
      this.#over();
      return hold;
    });
  }

  onBusy(holder: string | undefined): void {
    if (this.#contended) return;
    this.#contended = true;
    if (this.#patient) this.parts.emit(() => ({ type: 'waiting', holder, ...this.#names() }));
  }

  /**
   * While it is still asked for, asking again tells, and while it is held it is only granted once more. Given up or released, the
   * server may have got the question only after that: a grant would lie about until its lease ends, and a place in line would be
   * handed the lock for nobody.
   */
  onLate(claim: Claim): void {
    if (this.#withdrawn?.has(claim)) this.parts.undo.expect(withdraw(this.parts, claim));
    if (this.#hold?.released) this.parts.undo.expect(this.#hold.releaseAgain(claim));
  }

  async #untilHeld(once: boolean, first: Promise<Outcome>): Promise<Hold | undefined> {
    try {
      for (let outcome = await first; ; outcome = await this.#all()) {
        // All keys, and still all of them when the last one came.
        if ('held' in outcome && !this.#cancelled && outcome.held.every(({ lease }) => lease.live)) {
          return this.#acquired(outcome.held);
        }
        if ('held' in outcome) await this.#rollBack(outcome.held);
        const failure = this.#failureOf(outcome);
        if (!failure) continue;
        const error = this.#failed(failure);
        if (once && error instanceof LockTimeoutError) return undefined;
        throw error;
      }
    } finally {
      this.#over();
    }
  }

  #over(): void {
    this.#stopListening?.();
    this.parts.onOver(this);
  }

  /** Why it failed, or nothing while there is time to try again. */
  #failureOf(outcome: Outcome): Failure | undefined {
    if (this.#cancelled) return { cancelled: this.#cancelled.reason };
    if (!('held' in outcome)) return outcome;
    return this.parts.clock.now() >= this.#deadline ? { unknown: OVER_BEFORE_IT_BEGAN } : undefined;
  }

  #all(): Promise<Outcome> {
    const [only] = this.keys;
    return this.keys.length === 1 && only !== undefined ? this.#one(only) : this.#several();
  }

  async #several(): Promise<Outcome> {
    const claims = this.keys.map((key) => this.#claim(key));
    const atOnce = await this.#atOnce(claims);
    if (atOnce !== 'busy' && atOnce !== 'unknown') return atOnce;
    // Standing in line for each in the one order that all follow, so nobody waits in a circle.
    const held: HeldKey[] = [];
    for (const [index, key] of this.keys.entries()) {
      // What was withdrawn must not be asked for again: the withdrawal may still be on its way.
      const outcome = await this.#one(key, atOnce === 'busy' ? claims[index] : undefined);
      if (!('held' in outcome)) {
        await this.#rollBack(held);
        return outcome;
      }
      held.push(...outcome.held);
    }
    return { held };
  }

  /** All keys in one step, where the server can. Otherwise they have to be waited for one by one. */
  async #atOnce(claims: readonly Claim[]): Promise<Outcome | 'busy' | 'unknown'> {
    const { family, clock, callTimeout, undo } = this.parts;
    if (!family.attemptAll) return 'busy';
    const sentAt = clock.now();
    let failure: unknown = OVER_BEFORE_IT_BEGAN;
    try {
      const question = (async () => family.attemptAll?.(claims))();
      const answer = await ask(clock, callTimeout, () => question, {
        // Withdrawn already; what was granted only after that is withdrawn once more.
        late: (answer) => {
          if (answer && !('granted' in answer)) for (const claim of claims) this.onLate(claim);
        },
        canGiveUp: (giveUp) => {
          this.#giveUp = () => {
            undo.expect(question);
            giveUp();
          };
        },
      });
      if (!answer) return 'busy';
      if ('granted' in answer) {
        if ('limit' in answer) return { clash: answer.limit };
        this.onBusy(answer.holder);
        return this.#patient ? 'busy' : { busy: answer.holder };
      }
      const held = claims.map((claim, index) =>
        this.#attach(claim, this.keys[index] ?? '', answer[index]?.fencingToken, sentAt, claim.ttl),
      );
      if (held.every((one) => one !== undefined)) return { held };
    } catch (error) {
      failure = error;
    }
    await Promise.all(claims.map((claim) => this.#withdraw(claim)));
    return this.#patient ? 'unknown' : { unknown: failure };
  }

  /** @param begun the first question, where it was asked already, and what came of it */
  async #one(
    key: string,
    claim = this.#claim(key),
    begun?: { readonly turn: Wait; readonly outcome: WaitOutcome | undefined },
  ): Promise<Outcome> {
    let outcome = begun && (begun.outcome ?? (await begun.turn.wait()));
    for (;;) {
      if (!outcome && this.#cancelled) return { cancelled: this.#cancelled.reason };
      outcome ??= await this.#turnOf(claim).take();
      const held = this.#granted(key, claim, outcome);
      if (held) return { held: [held] };
      // Over before it began. Asked again, the server says whether it is still ours.
      if (outcome.outcome === 'granted' && this.parts.clock.now() < this.#deadline) {
        outcome = undefined;
        continue;
      }
      // Asked once and busy, nothing of ours is on the server. In all other cases there may be: an earlier question may still arrive.
      if (this.#patient || outcome.outcome !== 'busy') await this.#withdraw(claim);
      if (outcome.outcome === 'clash') return { clash: outcome.limit };
      if (outcome.outcome === 'busy') return { busy: outcome.holder };
      if (outcome.outcome === 'cancelled') return { cancelled: outcome.reason };
      return { unknown: outcome.outcome === 'unknown' ? outcome.error : OVER_BEFORE_IT_BEGAN };
    }
  }

  #turnOf(claim: Claim): Wait {
    return (this.#turn = new Wait(this.parts, claim, this.#deadline, this, this.options));
  }

  #granted(key: string, claim: Claim, outcome: WaitOutcome | undefined): HeldKey | undefined {
    if (outcome?.outcome === 'taken over') {
      const { lease, fencingToken } = outcome;
      return { key, claim, lease, fencingToken };
    }
    if (outcome?.outcome !== 'granted') return undefined;
    return this.#attach(claim, key, outcome.fencingToken, outcome.since, outcome.ttl);
  }

  get #patient(): boolean {
    return this.options.wait > 0;
  }

  #claim(key: string): Claim {
    const { mode, limit, ttl, claimTtl } = this.options;
    const owner = this.parts.nextOwner();
    this.#owner ||= owner;
    return { key: this.parts.prefix + key, owner, mode, limit, ttl, claimTtl };
  }

  #attach(
    claim: Claim,
    key: string,
    fencingToken: bigint | undefined,
    since: number,
    ttl: number,
  ): HeldKey | undefined {
    const lease = this.parts.family.attach(claim, since, ttl, this.options.renew);
    return lease && { key, claim, lease, fencingToken };
  }

  #withdraw(claim: Claim, before?: readonly Claim[]): Promise<Released> {
    (this.#withdrawn ??= new Set()).add(claim);
    return withdrawSoon(this.parts, claim, before);
  }

  async #rollBack(held: readonly HeldKey[]): Promise<void> {
    await Promise.all(
      [...held].reverse().map(async ({ claim, lease }) => {
        await this.parts.family.detach(claim, lease);
        await this.#withdraw(claim, unconfirmed(lease));
      }),
    );
  }

  #acquired(held: readonly HeldKey[]): Hold {
    const { clock, emit } = this.parts;
    const hold = (this.#hold = new Hold(held, this.options, this.parts));
    this.parts.onAcquired(hold);
    emit(() => ({
      type: 'acquired',
      ...this.#names(),
      owner: hold.owner,
      mode: this.options.mode,
      waitedMs: clock.now() - this.#startedAt,
      fencingToken: hold.fencingToken,
      contended: this.#contended,
    }));
    return hold;
  }

  #failed(failure: Failure): unknown {
    const { clock, emit, backend, backendName } = this.parts;
    const waitedMs = Math.round(clock.now() - this.#startedAt);
    const { wait, limit } = this.options;
    const error = errorOf(failure, { key: this.key, backendName, kind: backend.kind, wait, limit, waitedMs });
    if ('busy' in failure) emit(() => ({ type: 'timeout', ...this.#names(), waitedMs, holder: failure.busy }));
    else emit(() => ({ type: 'failed', ...this.#names(), waitedMs, error }));
    return error;
  }

  #names(): { key: string; backend: string; owner: string } {
    return { key: this.key, backend: this.parts.backendName, owner: this.#owner };
  }
}
