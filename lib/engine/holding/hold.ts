import type { Claim, LockMode } from '../../backends/backend.js';
import { lookFirst } from '../time/abort.js';
import { ask } from '../asking/ask.js';
import { runOutside } from './context.js';
import type { Duration } from '../../lock/duration.js';
import { LockBackendError, LockConfigurationError, LockLostError } from '../../lock/errors.js';
import { messageOf } from '../../lock/messages.js';
import { joined } from '../options/keys.js';
import type { Lease, LeaseListener } from '../leases/lease.js';
import { isStandIn, unconfirmed } from '../leases/local-hand-over.js';
import type { Lock, LockJson } from '../../lock/lock.js';
import { printed, tokenText } from '../../lock/readable.js';
import type { EngineParts } from '../parts.js';
import { type Listed, NOWHERE } from '../time/unordered-list.js';
import { forItsLongest, type Released, withdraw } from '../asking/release-retries.js';

/** One key of a lock that is held. */
export interface HeldKey {
  /** As the user named it. */
  readonly key: string;
  readonly claim: Claim;
  readonly lease: Lease;
  readonly fencingToken: bigint | undefined;
}

export interface HoldOptions {
  readonly mode: LockMode;
  readonly limit: number;
  readonly minHold: number;
  readonly maxHold: number;
}

/** A lock that is held: one lease for each of its keys, lost when any of them is. */
export class Hold implements Lock, LeaseListener, Listed {
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
    private readonly parts: EngineParts,
  ) {
    this.owner = heldKeys[0]?.claim.owner ?? '';
    this.fencingToken = highest(heldKeys);
    this.acquiredAt = parts.clock.now();
    this.#mode = options.mode;
    this.#plain = options.mode === 'exclusive';
    for (const { lease } of heldKeys) lease.listen(this);
    if (options.maxHold !== Infinity) {
      this.#stopMaxHold = parts.clock.after(options.maxHold, () => this.#endByMaxHold(), true);
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
    throw (
      this.#lost ??
      this.#ended ??
      new LockLostError(
        `The lock on '${this.key}' was released. Work that needs it must end before that.`,
        this.#details(),
      )
    );
  }

  async extend(ttl?: Duration): Promise<void> {
    const milliseconds = ttl === undefined ? undefined : this.parts.ttlOf(ttl);
    this.assertHeld();
    await Promise.all(
      this.heldKeys.map(async ({ lease }) => {
        try {
          await this.parts.watchdog.renewNow(lease, milliseconds);
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
    const { family, clock, callTimeout } = this.parts;
    if (!family.downgrade) {
      throw new LockConfigurationError(
        `The backend '${this.parts.backendName}' cannot downgrade a lock. Release it and take a shared one.`,
        this.#details(),
      );
    }
    this.assertHeld();
    this.#plain = false;
    for (const { claim, lease } of this.heldKeys) {
      try {
        // The server may not know yet that it came from another owner of this process.
        await lease.renewing;
        if (lease.succession) await this.parts.watchdog.renewNow(lease);
        // From the question on, not from the answer: readers may be in before it comes, and it may never come.
        this.#mode = 'shared';
        const kept = await ask(clock, callTimeout, async () => family.downgrade?.(claim));
        if (!kept) this.lost('the server no longer has it');
      } catch (cause) {
        throw new LockBackendError(
          `The lock on '${this.key}' could not be downgraded: ${messageOf(cause)}. It may be either, and counts as shared from now on; call downgrade() again, or release.`,
          { ...this.#details(), cause },
        );
      }
    }
    this.assertHeld();
  }

  release(): Promise<boolean> {
    // Looked at first: it may tell of a loss, and whoever is told may release.
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
    // The server may still have it for the sake of somebody who took it over.
    if (held && !isStandIn(held.lease)) await withdraw(this.parts, claim);
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
    this.#lost = new LockLostError(
      `The lock on '${this.key}' was lost: ${reason}. Somebody else may hold it now; stop, and write nothing that is not guarded by the fencing token.`,
      this.#details(),
    );
    runOutside(() => {
      this.#emitLost(reason);
      this.#controller?.abort(this.#lost);
    });
  }

  #tellNested(): void {
    this.#ended = new LockLostError(
      `The lock on '${this.key}' was released by hand while a nested call was still under it. ` +
        'Somebody else may hold it now; await nested calls before you call release().',
      this.#details(),
    );
    runOutside(() => this.#controller?.abort(this.#ended));
  }

  #emitLost(reason: string): void {
    this.parts.emit(() => ({ type: 'lost', ...this.#names(), heldMs: this.#heldMs(), reason }));
  }

  renewalFailed(error: unknown, remainingMs: number): void {
    this.parts.emit(() => ({ type: 'renewal-failed', ...this.#names(), error, remainingMs }));
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
    else if (!this.#lost) this.parts.emit(() => ({ type: 'released', ...this.#names(), heldMs: this.#heldMs() }));
    this.parts.onReleased(this);
    // Unknown is not no: it was ours when the release was sent.
    return wasHeld && !gone;
  }

  /** To the next in line in this process, or to the server. */
  #letGo(held: HeldKey, keepMs: number): Promise<Released> {
    held.lease.unlisten(this);
    const handedOn = keepMs > 0 || !this.#plain ? undefined : this.parts.handOver.handOn(held, this.parts);
    return handedOn ? handedOn.then((released) => released ?? this.#giveBack(held, 0)) : this.#giveBack(held, keepMs);
  }

  #giveBack({ claim, lease }: HeldKey, keepMs: number): Promise<Released> {
    // Unconfirmed, it is tried again for as long as the server may keep the lease.
    const longest = forItsLongest(claim, lease);
    const quiet = this.parts.family.detach(claim, lease);
    const before = unconfirmed(lease);
    // A renewal on its way would otherwise arrive after the release. That of a takeover may: it then finds nothing to take over.
    return quiet && before.length === 0
      ? quiet.then(() => withdraw(this.parts, longest, keepMs))
      : withdraw(this.parts, longest, keepMs, before);
  }

  /** Lets go, whatever the work under it still does: the next one comes in. */
  #endByMaxHold(): void {
    if (this.#lost || this.#releasing) return;
    this.#surrendered = this.heldKeys.every(({ lease }) => lease.live);
    this.lost(`it was held for its \`maxHold\` of ${this.options.maxHold} ms`);
    this.#releasing ??= this.#release(false);
  }

  #heldMs(): number {
    return this.parts.clock.now() - this.acquiredAt;
  }

  #names(): { key: string; backend: string; owner: string } {
    return { ...this.#details(), owner: this.owner };
  }

  #details(): { key: string; backend: string } {
    return { key: this.key, backend: this.parts.backendName };
  }
}

function highest(held: readonly HeldKey[]): bigint | undefined {
  let token: bigint | undefined;
  for (const { fencingToken } of held) {
    if (fencingToken !== undefined && (token === undefined || fencingToken > token)) token = fencingToken;
  }
  return token;
}
