import type { Claim, LockMode } from '../backends/backend.js';
import type { Clock } from './clock.js';
import type { Duration } from './duration.js';
import { LockBackendError, LockConfigurationError, LockLostError } from './errors.js';
import type { Family } from './family.js';
import type { Keeper } from './keeper.js';
import type { Lease } from './lease.js';
import type { Lock } from './lock.js';
import type { Released } from './undo.js';

/** One key of a lock that is held. */
export interface HeldKey {
  /** As the user named it. */
  readonly key: string;
  readonly claim: Claim;
  readonly lease: Lease;
  readonly fencingToken: bigint | undefined;
}

/** What a lock needs of the engine that made it. */
export interface HoldContext {
  readonly clock: Clock;
  readonly backend: string;
  readonly family: Family;
  readonly keeper: Keeper;
  /** Checks a ttl given by the user, in milliseconds. */
  readonly ttlOf: (ttl: Duration) => number;
  readonly release: (held: HeldKey, keepMs: number) => Promise<Released>;
  readonly onLost: (hold: Hold, reason: string) => void;
  readonly onRenewalFailed: (hold: Hold, error: unknown, remainingMs: number) => void;
  readonly onReleased: (hold: Hold) => void;
}

export interface HoldOptions {
  readonly mode: LockMode;
  readonly minHold: number;
  readonly maxHold: number;
}

/** A lock that is held: one lease for each of its keys, lost when any of them is. */
export class Hold implements Lock {
  readonly key: string;
  readonly keys: readonly string[];
  readonly owner: string;
  readonly fencingToken: bigint | undefined;
  readonly acquiredAt: number;
  #mode: LockMode;
  #lost: LockLostError | undefined;
  #controller: AbortController | undefined;
  #releasing: Promise<boolean> | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(
    private readonly parts: readonly HeldKey[],
    private readonly options: HoldOptions,
    private readonly context: HoldContext,
  ) {
    this.keys = parts.map(({ key }) => key);
    this.key = this.keys.join(' + ');
    this.owner = parts[0]?.claim.owner ?? '';
    this.fencingToken = highest(parts);
    this.acquiredAt = context.clock.now();
    this.#mode = options.mode;
    for (const { lease } of parts) {
      this.#stops.push(
        lease.listen({
          lost: (reason) => this.lose(reason),
          renewalFailed: (error, remainingMs) => context.onRenewalFailed(this, error, remainingMs),
        }),
      );
    }
    if (options.maxHold !== Infinity) this.#stops.push(this.#endAfter(options.maxHold));
  }

  get mode(): LockMode {
    return this.#mode;
  }

  get fencingTokens(): ReadonlyMap<string, bigint> {
    return new Map(this.parts.flatMap(({ key, fencingToken }) => (fencingToken === undefined ? [] : [[key, fencingToken]])));
  }

  get released(): boolean {
    return this.#releasing !== undefined;
  }

  get held(): boolean {
    if (this.#lost !== undefined || this.#releasing !== undefined) return false;
    for (const { lease } of this.parts) {
      if (lease.live) continue;
      // The timer that should have said so is late: the event loop stood still, or the process did.
      this.lose('its lease ran out before the server confirmed a renewal');
      return false;
    }
    return true;
  }

  get remainingMs(): number {
    return this.held ? Math.min(...this.parts.map(({ lease }) => lease.remainingMs)) : 0;
  }

  /** Made when first asked for: most locks are let go without anybody looking. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      this.#askTheClock(this.#controller.signal);
      if (this.#lost) this.#controller.abort(this.#lost);
    }
    void this.held;
    return this.#controller.signal;
  }

  /** Whether the claim of that owner is one of its keys. */
  owns(owner: string): boolean {
    return this.parts.some(({ claim }) => claim.owner === owner);
  }

  assertHeld(): void {
    if (this.held) return;
    throw this.#lost ?? new LockLostError(`The lock on '${this.key}' was released. Work that needs it must end before that.`, this.#details());
  }

  async extend(ttl: Duration): Promise<void> {
    const milliseconds = this.context.ttlOf(ttl);
    this.assertHeld();
    await Promise.all(
      this.parts.map(async ({ lease }) => {
        if ('claim' in lease.subject) lease.renewTo = milliseconds;
        try {
          await this.context.keeper.renewNow(lease);
        } catch (cause) {
          throw new LockBackendError(
            `The lock on '${this.key}' could not be extended: ${messageOf(cause)}. It is held for ${Math.round(this.remainingMs)} ms more unless a renewal succeeds.`,
            { ...this.#details(), cause },
          );
        }
      }),
    );
    this.assertHeld();
  }

  async downgrade(): Promise<void> {
    const { family } = this.context;
    if (!family.downgrade) {
      throw new LockConfigurationError(`The backend '${this.context.backend}' cannot downgrade a lock. Release it and take a shared one.`, this.#details());
    }
    this.assertHeld();
    for (const held of this.parts) {
      let kept: boolean;
      try {
        kept = await family.downgrade(held.claim);
      } catch (cause) {
        throw new LockBackendError(`The lock on '${this.key}' could not be downgraded: ${messageOf(cause)}. It may be either; call downgrade() again, or release.`, {
          ...this.#details(),
          cause,
        });
      }
      if (!kept) this.lose('the server no longer has it');
    }
    this.assertHeld();
    this.#mode = 'shared';
  }

  release(): Promise<boolean> {
    return (this.#releasing ??= this.#release(this.held));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release().then(() => undefined);
  }

  /** Ends the belief in this lock and tells whoever works under it. */
  lose(reason: string): void {
    if (this.#lost || this.#releasing) return;
    this.#lost = new LockLostError(
      `The lock on '${this.key}' was lost: ${reason}. Somebody else may hold it now; stop, and write nothing that is not guarded by the fencing token.`,
      this.#details(),
    );
    this.context.onLost(this, reason);
    this.#controller?.abort(this.#lost);
  }

  async #release(wasHeld: boolean): Promise<boolean> {
    for (const stop of this.#stops) stop();
    const keepMs = this.options.minHold - (this.context.clock.now() - this.acquiredAt);
    const outcomes = await Promise.all(
      this.parts.map(async (held) => {
        // A renewal on its way would otherwise arrive after the release.
        await this.context.family.unhang(held.claim, held.lease);
        return this.context.release(held, wasHeld ? Math.max(0, keepMs) : 0);
      }),
    );
    this.context.onReleased(this);
    // Unknown is not no: it was ours when the release was sent.
    return wasHeld && outcomes.every((outcome) => outcome !== false);
  }

  #endAfter(maxHold: number): () => void {
    return this.context.clock.after(
      maxHold,
      () => {
        for (const { claim, lease } of this.parts) void this.context.family.unhang(claim, lease);
        this.lose(`it was held for its \`maxHold\` of ${maxHold} ms`);
      },
      true,
    );
  }

  /** `aborted` is right at the first look after a stall, before any timer or listener could run. */
  #askTheClock(signal: AbortSignal): void {
    const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get;
    if (!aborted) return;
    Object.defineProperty(signal, 'aborted', {
      configurable: true,
      get: () => {
        void this.held;
        return aborted.call(signal) as boolean;
      },
    });
  }

  #details(): { key: string; backend: string } {
    return { key: this.key, backend: this.context.backend };
  }
}

function highest(held: readonly HeldKey[]): bigint | undefined {
  let token: bigint | undefined;
  for (const { fencingToken } of held) {
    if (fencingToken !== undefined && (token === undefined || fencingToken > token)) token = fencingToken;
  }
  return token;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
