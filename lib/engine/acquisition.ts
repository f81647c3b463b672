import type { Claim, LockBackend } from '../backends/backend.js';
import { onAbort } from './abort.js';
import { ask } from './call.js';
import type { Clock } from './clock.js';
import type { Duration } from './duration.js';
import { LockBackendError, LockConfigurationError, LockTimeoutError } from './errors.js';
import type { LockEvent } from './events.js';
import type { Family } from './family.js';
import { type HeldKey, Hold, messageOf } from './hold.js';
import type { Keeper } from './keeper.js';
import { joined } from './keys.js';
import type { ResolvedOptions } from './options.js';
import { TurnTaker } from './turn.js';
import type { Released, Undo } from './undo.js';

/** What acquisitions share: the parts of their engine. */
export interface AcquisitionContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly callTimeout: number;
  readonly backend: LockBackend;
  readonly backendName: string;
  readonly family: Family;
  readonly keeper: Keeper;
  readonly undo: Undo;
  readonly prefix: string;
  readonly nextOwner: () => string;
  readonly emit: (event: LockEvent) => void;
  readonly ttlOf: (ttl: Duration) => number;
  readonly onReleased: (hold: Hold) => void;
}

/** The longest a server without leases of its own for it keeps a place in line, in milliseconds: see `WAITER_SILENCE_MS`. */
const PLACE_FORGOTTEN_MS = 20_000;

/** How an attempt at all keys ended. */
type Outcome =
  | { readonly held: readonly HeldKey[] }
  | { readonly busy: string | undefined }
  | { readonly clash: number; readonly key: string }
  | { readonly unknown: unknown }
  | { readonly cancelled: unknown };

/** One call of `acquire`: all of its keys or none, within one `wait`. */
export class Acquisition {
  readonly key: string;
  readonly #startedAt: number;
  readonly #deadline: number;
  #owner = '';
  #contended = false;
  #turn: TurnTaker | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    private readonly keys: readonly string[],
    private readonly options: ResolvedOptions,
    private readonly context: AcquisitionContext,
  ) {
    this.key = joined(keys);
    this.#startedAt = context.clock.now();
    this.#deadline = this.#startedAt + options.wait;
  }

  /** Calls it off: it rejects with the reason. */
  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    this.#turn?.cancel(reason);
  }

  /** The lock; `undefined` if it was busy and is only to be tried once. */
  async run(once: boolean): Promise<Hold | undefined> {
    const { signal } = this.options;
    const stop = signal && onAbort(signal, () => this.cancel(signal.reason));
    try {
      const outcome = await this.#all();
      if ('held' in outcome) return this.#acquired(outcome.held);
      if ('busy' in outcome && once) return undefined;
      throw this.#failed(outcome);
    } finally {
      stop?.();
    }
  }

  async #all(): Promise<Outcome> {
    for (;;) {
      const outcome = (this.keys.length > 1 && (await this.#atOnce())) || (await this.#oneByOne());
      if (!('held' in outcome)) return outcome;
      if (this.#cancelled || !outcome.held.every(({ lease }) => lease.live)) {
        await this.#rollBack(outcome.held);
        if (this.#cancelled) return { cancelled: this.#cancelled.reason };
        if (this.context.clock.now() >= this.#deadline) return { unknown: new Error('a lease ended before all keys were locked') };
        continue;
      }
      return outcome;
    }
  }

  /** All keys in one step, where the server can. `undefined` when they have to be waited for one by one. */
  async #atOnce(): Promise<Outcome | undefined> {
    const { family, clock, callTimeout } = this.context;
    if (!family.attemptAll) return undefined;
    const claims = this.keys.map((key) => this.#claim(key));
    const sentAt = clock.now();
    try {
      const answer = await ask(clock, callTimeout, async () => family.attemptAll?.(claims));
      if (!answer) return undefined;
      if ('granted' in answer) {
        if ('limit' in answer) return { clash: answer.limit, key: this.key };
        this.#busy(answer.holder);
        return this.#patient ? undefined : { busy: answer.holder };
      }
      const held = claims.map((claim, index) => this.#hang(claim, index, answer[index]?.fencingToken, sentAt, claim.ttl));
      if (held.every((one) => one !== undefined)) return { held };
      await Promise.all(claims.map((claim) => this.#withdraw(claim)));
      return this.#patient ? undefined : { unknown: new Error('the answer came after the lease had ended') };
    } catch (error) {
      await Promise.all(claims.map((claim) => this.#withdraw(claim)));
      return this.#patient ? undefined : { unknown: error };
    }
  }

  /** The keys in their order, standing in line for each; what was locked before one that fails is let go again. */
  async #oneByOne(): Promise<Outcome> {
    const held: HeldKey[] = [];
    for (const [index, key] of this.keys.entries()) {
      const outcome = await this.#one(key, index);
      if (!('held' in outcome)) {
        await this.#rollBack(held);
        return outcome;
      }
      held.push(...outcome.held);
    }
    return { held };
  }

  async #one(key: string, index: number): Promise<Outcome> {
    const { clock, backend, context } = { ...this.context, context: this.context };
    const claim = this.#claim(key);
    const patient = this.#patient;
    for (;;) {
      if (this.#cancelled) return { cancelled: this.#cancelled.reason };
      const watch = backend.watch;
      this.#turn = new TurnTaker({
        clock,
        random: context.random,
        family: context.family,
        callTimeout: context.callTimeout,
        claim,
        deadline: this.#deadline,
        line: backend.traits.fifo,
        watch: watch && ((wake) => watch.call(backend, claim.key, wake)),
        onBusy: (holder) => this.#busy(holder),
        onLateGrant: () => void this.#withdraw(claim),
      });
      const turn = await this.#turn.take();
      this.#turn = undefined;
      if (turn.outcome === 'granted') {
        const held = this.#hang(claim, index, turn.grant.fencingToken, turn.since, turn.ttl);
        if (held) return { held: [held] };
        // Over before it began. Asked again, the server says whether it is still ours.
        if (clock.now() < this.#deadline) continue;
      }
      if (turn.outcome === 'clash') return { clash: turn.limit, key };
      // Asked once and refused, nothing of ours is on the server; in all other cases there may be.
      if (patient || turn.outcome !== 'busy') await this.#withdraw(claim);
      if (turn.outcome === 'busy') return { busy: turn.holder };
      if (turn.outcome === 'cancelled') return { cancelled: turn.reason };
      return { unknown: turn.outcome === 'unknown' ? turn.error : new Error('the answer came after the lease had ended') };
    }
  }

  get #patient(): boolean {
    return this.options.wait > 0;
  }

  #claim(key: string): Claim {
    const { mode, limit, ttl, claimTtl } = this.options;
    const owner = this.context.nextOwner();
    this.#owner ||= owner;
    return { key: this.context.prefix + key, owner, mode, limit, ttl, claimTtl };
  }

  #hang(claim: Claim, index: number, fencingToken: bigint | undefined, since: number, ttl: number): HeldKey | undefined {
    const lease = this.context.family.hang(claim, since, ttl, this.options.renew);
    return lease && { key: this.keys[index] ?? '', claim, lease, fencingToken };
  }

  async #rollBack(held: readonly HeldKey[]): Promise<void> {
    await Promise.all(
      [...held].reverse().map(async ({ claim, lease }) => {
        await this.context.family.unhang(claim, lease);
        await this.#withdraw(claim);
      }),
    );
  }

  /** Takes back whatever the server may have for the claim: a hold or a place in line. */
  #withdraw(claim: Claim, keepMs = 0): Promise<Released> {
    const { undo, family } = this.context;
    return undo.release(
      () => family.release(claim, keepMs),
      claim.ttl + keepMs + PLACE_FORGOTTEN_MS,
      (error) => this.#emit({ type: 'release-unknown', error }),
    );
  }

  #busy(holder: string | undefined): void {
    if (this.#contended) return;
    this.#contended = true;
    if (this.#patient) this.#emit({ type: 'waiting', holder });
  }

  #acquired(held: readonly HeldKey[]): Hold {
    const { clock, keeper, family, backendName, ttlOf, onReleased, emit } = this.context;
    const { mode, minHold, maxHold } = this.options;
    const hold: Hold = new Hold(
      held,
      { mode, minHold, maxHold },
      {
        clock,
        keeper,
        family,
        backend: backendName,
        ttlOf,
        release: ({ claim }, keepMs) => this.#withdraw(claim, keepMs),
        onLost: ({ acquiredAt }, reason) => this.#emit({ type: 'lost', heldMs: clock.now() - acquiredAt, reason }),
        onRenewalFailed: (_, error, remainingMs) => this.#emit({ type: 'renewal-failed', error, remainingMs }),
        onReleased: (released) => {
          this.#emit({ type: 'released', heldMs: clock.now() - released.acquiredAt });
          onReleased(released);
        },
      },
    );
    const { owner, fencingToken } = hold;
    const waitedMs = clock.now() - this.#startedAt;
    emit({ type: 'acquired', key: this.key, backend: backendName, owner, mode, waitedMs, fencingToken, contended: this.#contended });
    return hold;
  }

  #failed(outcome: Exclude<Outcome, { held: unknown }>): unknown {
    const { clock, backend, backendName } = this.context;
    const { wait, limit } = this.options;
    const waitedMs = Math.round(clock.now() - this.#startedAt);
    const details = { key: this.key, backend: backendName };
    const where = `'${this.key}' on '${backendName}' (${backend.kind})`;
    if ('busy' in outcome) {
      this.#emit({ type: 'timeout', waitedMs, holder: outcome.busy });
      return new LockTimeoutError(
        `Could not lock ${where} within ${wait} ms: it is held${outcome.busy ? ` by ${outcome.busy}` : ''}. ` +
          'Wait longer, shorten the work under the lock, or say what to do instead (`tryAcquire`, `onBusy`).',
        { ...details, waitedMs, holder: outcome.busy },
      );
    }
    let error: unknown;
    if ('cancelled' in outcome) {
      error = outcome.cancelled;
    } else if ('clash' in outcome) {
      const asked = limit > 1 ? `a semaphore of ${limit}` : 'a lock for one holder (limit 1)';
      const inForce = outcome.clash > 1 ? `a semaphore of ${outcome.clash}` : 'a lock for one holder (limit 1)';
      error = new LockConfigurationError(
        `${where} was asked for as ${asked}, but is in use as ${inForce}. All who use a key must name the same \`limit\`; give one of them another key.`,
        details,
      );
    } else {
      error = new LockBackendError(
        `Could not lock ${where}: the server did not answer (${messageOf(outcome.unknown)}), for ${waitedMs} ms. Nothing ran under the lock. ` +
          'Check that the server runs, and that its address, credentials and network allow this process in.',
        { ...details, cause: outcome.unknown },
      );
    }
    this.#emit({ type: 'failed', waitedMs, error });
    return error;
  }

  #emit(event: DistributedOmit<LockEvent, 'key' | 'backend' | 'owner'>): void {
    this.context.emit({ ...event, key: this.key, backend: this.context.backendName, owner: this.#owner } as LockEvent);
  }
}

/** `Omit` for each member of a union. */
type DistributedOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
