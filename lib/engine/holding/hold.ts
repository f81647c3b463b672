import type { Claim, LockMode } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Duration } from '../../lock/duration.js';
import type { LockClosedError, LockLostError } from '../../lock/errors.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import type { LockJson } from '../../lock/lock.js';
import { printed, printedLock, tokenText } from '../../lock/readable.js';
import type { HeldKey } from '../leases/held-key.js';
import type { HeldKeyChanges } from '../leases/held-key-changes.js';
import { EXPIRED, GONE_AT_RELEASE, heldTooLong, type Loss, TAKEN } from '../leases/loss.js';
import type { LeaseListener } from '../leases/lease.js';
import type { LettingGo } from '../leases/letting-go.js';
import type { OnShutdown, ResolvedOptions } from '../options/options.js';
import { lookFirst } from '../time/abort.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import { runOutside, type SurroundingLock } from './context.js';
import { HeldKeys } from './held-keys.js';
import * as errors from './hold-errors.js';
import { type HeldNow, HoldEvents, type HoldEventsTools } from './hold-events.js';

export type HoldOptions = Pick<
  ResolvedOptions,
  'mode' | 'limit' | 'minHold' | 'maxHold' | 'name' | 'method' | 'onShutdown'
>;

export interface HoldTools extends HoldEventsTools {
  readonly changes: HeldKeyChanges;
  readonly lettingGo: LettingGo;
  /** Checks a ttl from the user, in milliseconds. */
  readonly ttlOf: (ttl: Duration) => number;
  /** The hold is over, and its release needs nothing more. */
  readonly onReleased: (hold: Hold) => void;
}

/** A held lock. It has one lease for each of its keys, and is lost when any of them is lost. */
export class Hold implements SurroundingLock, LeaseListener, Listed {
  place = NOWHERE;
  readonly #keys: HeldKeys;
  readonly #events: HoldEvents;
  #mode: LockMode;
  /** Whether the lock is certainly exclusive on the server. */
  #plain: boolean;
  #lost: LockLostError | undefined;
  #controller: AbortController | undefined;
  #releasing: Promise<boolean> | undefined;
  /** The server still has it, although the work under it was told that it is lost. */
  #surrendered = false;
  /** Nested calls under it that have not ended. */
  #nested = 0;
  /** Why work under it must stop, although it was released on purpose. */
  #ended: LockLostError | LockClosedError | undefined;
  readonly #stopMaxHold: (() => void) | undefined;

  constructor(
    keys: readonly HeldKey[],
    private readonly options: HoldOptions,
    private readonly tools: HoldTools,
    observer: LockObserver | undefined,
  ) {
    this.#keys = new HeldKeys(keys);
    this.#events = new HoldEvents(this, options, tools, observer);
    this.#mode = options.mode;
    this.#plain = options.mode === 'exclusive';
    for (const { lease } of keys) lease.listen(this);
    if (options.maxHold !== Infinity) {
      this.#stopMaxHold = tools.clock.after(options.maxHold, () => this.#endByMaxHold(), true);
    }
  }

  get keys(): readonly string[] {
    return this.#keys.names;
  }

  get key(): string {
    return this.#keys.joined;
  }

  get owner(): string {
    return this.#keys.owner;
  }

  get fencingToken(): bigint | undefined {
    return this.#keys.fencingToken;
  }

  get limit(): number {
    return this.options.limit;
  }

  get mode(): LockMode {
    return this.#mode;
  }

  get fencingTokens(): ReadonlyMap<string, bigint> {
    return this.#keys.fencingTokens;
  }

  get released(): boolean {
    return this.#releasing !== undefined;
  }

  get held(): boolean {
    if (this.#lost !== undefined || this.#releasing !== undefined) return false;
    if (this.#events.heldMs >= this.options.maxHold) {
      this.#endByMaxHold();
      return false;
    }
    if (this.#keys.live) return true;
    // The timer for this is late, because the event loop was blocked or the process was stopped.
    this.lost(EXPIRED);
    return false;
  }

  get remainingMs(): number {
    return this.held ? this.#keys.remainingMs : 0;
  }

  /** Made on first use: most locks are released before anybody reads it. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      lookFirst(this.#controller.signal, () => void this.held);
      const reason = this.#lost ?? this.#ended;
      if (reason) this.#controller.abort(reason);
    }
    void this.held;
    return this.#controller.signal;
  }

  assertHeld(): void {
    if (this.held) return;
    throw this.#lost ?? this.#ended ?? errors.released(this.#events.details);
  }

  async extend(ttl?: Duration): Promise<void> {
    const milliseconds = ttl === undefined ? undefined : this.tools.ttlOf(ttl);
    this.assertHeld();
    try {
      await this.#keys.each((held) => this.tools.changes.extend(held, milliseconds));
    } catch (cause) {
      throw errors.notExtended(this.#events.details, cause, this.remainingMs);
    }
    this.assertHeld();
  }

  async downgrade(): Promise<void> {
    const { changes } = this.tools;
    if (!changes.canDowngrade) throw errors.cannotDowngrade(this.#events.details);
    this.assertHeld();
    this.#plain = false;
    // Counts from the question, not from the answer: readers may enter before the answer comes, and it may never come.
    const onAsked = (): void => void (this.#mode = 'shared');
    for (const held of this.#keys) {
      try {
        if (!(await changes.downgrade(held, onAsked))) this.lost(TAKEN);
      } catch (cause) {
        throw errors.notDowngraded(this.#events.details, cause);
      }
    }
    this.assertHeld();
  }

  release(): Promise<boolean> {
    // Reads `held` first: it may report a loss, and a listener may then call `release()`.
    const wasHeld = this.held;
    if (this.#nested > 0 && !this.#lost && !this.#releasing) this.#tellNested();
    return (this.#releasing ??= this.#release(wasHeld));
  }

  /** One more nested call runs under it. */
  joinNested(): void {
    this.#nested += 1;
  }

  leaveNested(): void {
    this.#nested -= 1;
  }

  /** Withdraws the claim again, because the server may have received a question only after the release. */
  async releaseAgain(claim: Claim): Promise<void> {
    await this.release();
    for (const held of this.#keys) if (held.claim === claim) await this.tools.lettingGo.again(held);
  }

  /** Releases the lock although its work has not ended, and tells the work. */
  surrender(loss: Loss): Promise<boolean> {
    this.#surrendered = this.held;
    this.lost(loss);
    // Work that ends later learns that it had lost the lock.
    return (this.#releasing ??= this.#release(false));
  }

  /** Tells the work that the application shuts down. The lock is held until the work has ended. */
  shutDown(): void {
    if (this.#lost || this.#releasing || this.#ended) return;
    this.#ended = errors.shuttingDown(this.#events.details);
    this.#events.shutDown();
    runOutside(() => this.#controller?.abort(this.#ended));
  }

  /** What the shutdown does with it. */
  get onShutdown(): OnShutdown {
    return this.options.onShutdown;
  }

  toJSON(): LockJson {
    const { key, owner, mode, held, remainingMs } = this;
    return { key, owner, mode, fencingToken: tokenText(this.fencingToken), held, remainingMs: Math.round(remainingMs) };
  }

  /** One line, for `console.log`. */
  [printed](): string {
    return printedLock(this.toJSON(), this.released);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release().then(() => undefined);
  }

  /** Gives up this lock and tells the work under it. */
  lost(loss: Loss): void {
    if (this.#lost || this.#releasing) return;
    this.#lost = errors.lost(this.#events.details, loss);
    runOutside(() => {
      this.#events.lost(loss);
      this.#controller?.abort(this.#lost);
    });
  }

  /** A description for the log. */
  get now(): HeldNow {
    return this.#events.now;
  }

  /** Runs work inside the context that observers set up around the lock. */
  around<T>(work: () => T): T {
    return this.#events.around(work);
  }

  #tellNested(): void {
    this.#ended = errors.releasedAroundNested(this.#events.details);
    runOutside(() => this.#controller?.abort(this.#ended));
  }

  renewalFailed(error: unknown, remainingMs: number): void {
    this.#events.renewalFailed(error, remainingMs);
  }

  #release(wasHeld: boolean): Promise<boolean> {
    this.#stopMaxHold?.();
    this.#events.ending();
    const keepMs = wasHeld || this.#surrendered ? Math.max(0, this.options.minHold - this.#events.heldMs) : 0;
    return this.#keys
      .each((held) => this.#letGo(held, keepMs))
      .then((released) => this.#released(wasHeld, released.includes(false)));
  }

  /**
   * Resolves to whether it was held until then.
   * @param gone whether the server had lost it before
   */
  #released(wasHeld: boolean, gone: boolean): boolean {
    this.#events.ended(gone ? GONE_AT_RELEASE : undefined);
    this.tools.onReleased(this);
    // Unknown is not "no": the lock was ours when the release was sent.
    return wasHeld && !gone;
  }

  #letGo(held: HeldKey, keepMs: number): Promise<Released> {
    held.lease.unlisten(this);
    return this.tools.lettingGo.letGo(held, keepMs, this.#plain);
  }

  /** Releases the lock, whatever its work still does, so that the next holder enters. */
  #endByMaxHold(): void {
    if (this.#lost || this.#releasing) return;
    this.#surrendered = this.#keys.live;
    this.lost(heldTooLong(this.options.maxHold));
    this.#releasing ??= this.#release(false);
  }
}
