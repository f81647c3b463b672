import type { Claim, LockMode } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Duration } from '../../lock/duration.js';
import type { LockLostError } from '../../lock/errors.js';
import type { LockJson } from '../../lock/lock.js';
import { printed, tokenText } from '../../lock/readable.js';
import type { HeldKey } from '../leases/held-key.js';
import type { HeldKeyChanges } from '../leases/held-key-changes.js';
import type { LeaseListener } from '../leases/lease.js';
import type { LettingGo } from '../leases/letting-go.js';
import { joined } from '../options/keys.js';
import type { Emit } from '../telling/listeners.js';
import { lookFirst } from '../time/abort.js';
import type { Clock } from '../time/clock.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import { runOutside, type SurroundingLock } from './context.js';
import * as errors from './hold-errors.js';

export interface HoldOptions {
  readonly mode: LockMode;
  readonly limit: number;
  readonly minHold: number;
  readonly maxHold: number;
}

export interface HoldTools {
  readonly clock: Clock;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly changes: HeldKeyChanges;
  readonly lettingGo: LettingGo;
  readonly emit: Emit;
  /** Checks a ttl given by the user, in milliseconds. */
  readonly ttlOf: (ttl: Duration) => number;
  /** The hold is over and nothing of it is left to do. */
  readonly onReleased: (hold: Hold) => void;
}

/** A lock that is held: one lease for each of its keys, lost when any of them is. */
export class Hold implements SurroundingLock, LeaseListener, Listed {
  place = NOWHERE;
  readonly owner: string;
  readonly fencingToken: bigint | undefined;
  readonly acquiredAt: number;
  #mode: LockMode;
  /** Whether it is exclusive on the server, for certain. */
  #plain: boolean;
  #lost: LockLostError | undefined;
  #controller: AbortController | undefined;
  #releasing: Promise<boolean> | undefined;
  /** The server still has it, though whoever works under it is told that it is lost. */
  #surrendered = false;
  /** Nested calls under it that have not ended. */
  #nested = 0;
  /** Why work under it must stop, although it was released on purpose. */
  #ended: LockLostError | undefined;
  readonly #stopMaxHold: (() => void) | undefined;

  constructor(
    private readonly heldKeys: readonly HeldKey[],
    private readonly options: HoldOptions,
    private readonly tools: HoldTools,
  ) {
    this.owner = heldKeys[0]?.claim.owner ?? '';
    this.fencingToken = highest(heldKeys);
    this.acquiredAt = tools.clock.now();
    this.#mode = options.mode;
    this.#plain = options.mode === 'exclusive';
    for (const { lease } of heldKeys) lease.listen(this);
    if (options.maxHold !== Infinity) {
      this.#stopMaxHold = tools.clock.after(options.maxHold, () => this.#endByMaxHold(), true);
    }
  }

  get keys(): readonly string[] {
    return this.heldKeys.map(({ key }) => key);
  }

  get key(): string {
    return joined(this.keys);
  }

  get limit(): number {
    return this.options.limit;
  }

  get mode(): LockMode {
    return this.#mode;
  }

  get fencingTokens(): ReadonlyMap<string, bigint> {
    return new Map(
      this.heldKeys.flatMap(({ key, fencingToken }) => (fencingToken === undefined ? [] : [[key, fencingToken]])),
    );
  }

  get released(): boolean {
    return this.#releasing !== undefined;
  }

  get held(): boolean {
    if (this.#lost !== undefined || this.#releasing !== undefined) return false;
    if (this.#heldMs() >= this.options.maxHold) {
      this.#endByMaxHold();
      return false;
    }
    for (const { lease } of this.heldKeys) {
      if (lease.live) continue;
      // The timer that should have said so is late: the event loop stood still, or the process did.
      this.lost('its lease ran out before the server confirmed a renewal');
      return false;
    }
    return true;
  }

  get remainingMs(): number {
    return this.held ? Math.min(...this.heldKeys.map(({ lease }) => lease.remainingMs)) : 0;
  }

  /** Made when first asked for: most locks are let go without anybody looking. */
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
    throw this.#lost ?? this.#ended ?? errors.released(this.#details());
  }

  async extend(ttl?: Duration): Promise<void> {
    const milliseconds = ttl === undefined ? undefined : this.tools.ttlOf(ttl);
    this.assertHeld();
    try {
      await Promise.all(this.heldKeys.map((held) => this.tools.changes.extend(held, milliseconds)));
    } catch (cause) {
      throw errors.notExtended(this.#details(), cause, this.remainingMs);
    }
    this.assertHeld();
  }

  async downgrade(): Promise<void> {
    const { changes } = this.tools;
    if (!changes.canDowngrade) throw errors.cannotDowngrade(this.#details());
    this.assertHeld();
    this.#plain = false;
    // From the question on, not from the answer: readers may be in before it comes, and it may never come.
    const onAsked = (): void => void (this.#mode = 'shared');
    for (const held of this.heldKeys) {
      try {
        if (!(await changes.downgrade(held, onAsked))) this.lost('the server no longer has it');
      } catch (cause) {
        throw errors.notDowngraded(this.#details(), cause);
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

  /** Takes back what a question may have brought about that the server got only after the release. */
  async releaseAgain(claim: Claim): Promise<void> {
    await this.release();
    const held = this.heldKeys.find((one) => one.claim === claim);
    if (held) await this.tools.lettingGo.again(held);
  }

  /** Releases although the work under it has not ended, and tells the work so. */
  surrender(reason: string): Promise<boolean> {
    const wasHeld = this.held;
    this.#surrendered = wasHeld;
    this.lost(reason);
    return (this.#releasing ??= this.#release(wasHeld));
  }

  toJSON(): LockJson {
    const { key, owner, mode, held, remainingMs } = this;
    return { key, owner, mode, fencingToken: tokenText(this.fencingToken), held, remainingMs: Math.round(remainingMs) };
  }

  /** One line, for `console.log`. */
  [printed](): string {
    const { key, owner, mode, fencingToken, held, remainingMs } = this.toJSON();
    const state = held ? `held for ${remainingMs} ms more` : this.released ? 'released' : 'lost';
    const token = fencingToken === undefined ? '' : `, token ${fencingToken}`;
    return `Lock(${JSON.stringify(key)}, ${mode}, ${state}${token}, ${owner})`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release().then(() => undefined);
  }

  /** Ends the belief in this lock and tells whoever works under it. */
  lost(reason: string): void {
    if (this.#lost || this.#releasing) return;
    this.#lost = errors.lost(this.#details(), reason);
    runOutside(() => {
      this.#emitLost(reason);
      this.#controller?.abort(this.#lost);
    });
  }

  #tellNested(): void {
    this.#ended = errors.releasedAroundNested(this.#details());
    runOutside(() => this.#controller?.abort(this.#ended));
  }

  #emitLost(reason: string): void {
    this.tools.emit(() => ({ type: 'lost', ...this.#names(), heldMs: this.#heldMs(), reason }));
  }

  renewalFailed(error: unknown, remainingMs: number): void {
    this.tools.emit(() => ({ type: 'renewal-failed', ...this.#names(), error, remainingMs }));
  }

  #release(wasHeld: boolean): Promise<boolean> {
    this.#stopMaxHold?.();
    const keepMs = wasHeld || this.#surrendered ? Math.max(0, this.options.minHold - this.#heldMs()) : 0;
    const [only] = this.heldKeys;
    if (this.heldKeys.length === 1 && only) {
      return this.#letGo(only, keepMs).then((released) => this.#released(wasHeld, released === false));
    }
    return Promise.all(this.heldKeys.map((held) => this.#letGo(held, keepMs))).then((released) =>
      this.#released(wasHeld, released.includes(false)),
    );
  }

  /** Resolves to whether it was held until then. @param gone whether the server had lost it before */
  #released(wasHeld: boolean, gone: boolean): boolean {
    if (!this.#lost && gone) this.#emitLost('the server no longer had it at the release');
    else if (!this.#lost) this.tools.emit(() => ({ type: 'released', ...this.#names(), heldMs: this.#heldMs() }));
    this.tools.onReleased(this);
    // Unknown is not no: it was ours when the release was sent.
    return wasHeld && !gone;
  }

  #letGo(held: HeldKey, keepMs: number): Promise<Released> {
    held.lease.unlisten(this);
    return this.tools.lettingGo.letGo(held, keepMs, this.#plain);
  }

  /** Lets go, whatever the work under it still does: the next one comes in. */
  #endByMaxHold(): void {
    if (this.#lost || this.#releasing) return;
    this.#surrendered = this.heldKeys.every(({ lease }) => lease.live);
    this.lost(`it was held for its \`maxHold\` of ${this.options.maxHold} ms`);
    this.#releasing ??= this.#release(false);
  }

  #heldMs(): number {
    return this.tools.clock.now() - this.acquiredAt;
  }

  #names(): { key: string; backend: string; owner: string } {
    return { ...this.#details(), owner: this.owner };
  }

  #details(): { key: string; backend: string } {
    return { key: this.key, backend: this.tools.backendName };
  }
}

function highest(held: readonly HeldKey[]): bigint | undefined {
  let token: bigint | undefined;
  for (const { fencingToken } of held) {
    if (fencingToken !== undefined && (token === undefined || fencingToken > token)) token = fencingToken;
  }
  return token;
}
