import type { Clock } from '../time/clock.js';
import { coveringFrame, Frame, runIn, type SurroundingLock, surroundingFrame } from './context.js';
import { LockConfigurationError, LockLostError, LockTimeoutError } from '../../lock/errors.js';
import type { AcquireOptions, Lock } from '../../lock/lock.js';
import type { ResolvedOptions } from '../options/options.js';

/** How `withLock` acquires: the options of `acquire`, and whether a nested call re-enters a held lock. */
export interface WithLockOptions extends AcquireOptions {
  /**
   * Whether work that runs under the key may lock it again under the same lock. With `false` it would wait for itself.
   * @default true
   */
  readonly reentrant?: boolean;
}

/** Locks the keys that the surrounding work does not hold. */
export interface Acquirer {
  /** The backend's name, for messages. */
  readonly name: string;
  hold(keys: readonly string[], options?: AcquireOptions): Promise<SurroundingLock>;
}

/** Work under a lock: a new one, or the lock of the surrounding work. */
export interface Entered {
  readonly lock: Lock;
  /** Runs a function in the async context of the lock, where `currentLock()` and re-entry find it. */
  run<T>(work: () => T): T;
  /**
   * Ends the work: releases the lock, or leaves the lock of the surrounding work.
   * @throws LockLostError when the work did not fail but the lock was lost meanwhile
   */
  leave(failed: boolean): Promise<void>;
}

/**
 * Puts work under the keys. Keys that the surrounding work holds are re-entered: same lock, same token, one call at a time, so that
 * siblings do not meet. The other keys are locked.
 */
export async function enter(
  engine: Acquirer,
  clock: Clock,
  resolved: ResolvedOptions,
  keys: readonly string[],
  options: WithLockOptions,
): Promise<Entered> {
  const covered = options.reentrant === false ? [] : keys.map((key) => coveringFrame(engine, key));
  // Always outer before inner, so that two calls which enter two locks do not wait for each other in a circle.
  const around = [...new Set(covered)].filter((frame) => frame !== undefined).sort((a, b) => a.depth - b.depth);
  for (const { hold } of around) checkReentry(engine, hold, resolved);
  const missing = around.length > 0 ? keys.filter((_, index) => covered[index] === undefined) : keys;
  // Before the first await: from here on none of these locks ends under this call.
  for (const frame of around) frame.joinNested();
  // Read now: the caller may change the options while this waits.
  const own = around.length > 0 ? { ...options } : options;
  const entered = new Set<Frame>();
  const stepOut = async (): Promise<boolean> => {
    const ends = around.flatMap((frame) => {
      if (entered.has(frame)) frame.nested.leave();
      return frame.leaveNested() ?? [];
    });
    return (await Promise.all(ends)).every(Boolean);
  };
  const startedAt = clock.now();
  try {
    for (const frame of around) {
      await enterNested(engine, clock, frame, startedAt, resolved);
      entered.add(frame);
      // Check again after the wait: a sibling may have downgraded the lock, or it was lost.
      checkReentry(engine, frame.hold, resolved);
    }
    const [innermost] = around.slice(-1);
    let hold = innermost?.hold;
    if (!hold) {
      hold = await engine.hold(missing, own);
    } else if (missing.length > 0) {
      // Other nested work used part of the wait.
      const wait = Math.max(0, startedAt + resolved.wait - clock.now());
      hold = await engine.hold(missing, { ...own, wait });
      await checkAfterWait(engine, around, hold, resolved);
    }
    return new UnderLock(engine, hold, missing.length > 0, stepOut);
  } catch (error) {
    void stepOut();
    throw error;
  }
}

class UnderLock implements Entered {
  readonly #frame: Frame;

  constructor(
    private readonly engine: Acquirer,
    hold: SurroundingLock,
    /** Whether the lock was taken for this work, and so ends with it. */
    private readonly owned: boolean,
    stepOut: () => Promise<boolean>,
  ) {
    this.#frame = new Frame(engine, hold, surroundingFrame(), async () => {
      const stillHeld = owned ? await hold.release() : hold.held;
      return (await stepOut()) && stillHeld;
    });
  }

  get lock(): Lock {
    return this.#frame.hold;
  }

  run<T>(work: () => T): T {
    // Work that re-enters a lock is already inside everything that observers put around it.
    return runIn(this.#frame, this.owned ? () => this.#frame.hold.around(work) : work);
  }

  async leave(failed: boolean): Promise<void> {
    const { hold } = this.#frame;
    // Work that released its own lock by hand meant to. The lock of the surrounding work was taken from it.
    const stillHeld = await (this.#frame.finish() ?? (this.owned && hold.released ? hold.release() : hold.held));
    if (!stillHeld && !failed) throw lostMeanwhile(this.engine, hold);
  }
}

async function enterNested(
  engine: Acquirer,
  clock: Clock,
  { hold, nested }: Frame,
  startedAt: number,
  { wait, signal }: ResolvedOptions,
): Promise<void> {
  if (await nested.enter(clock, startedAt + wait, signal)) return;
  throw new LockTimeoutError(
    `'${hold.key}' is held by the work around this call, and other work nested in it did not end within ${wait} ms.`,
    { key: hold.key, backend: engine.name, waitedMs: Math.round(clock.now() - startedAt), holder: hold.owner },
  );
}

/** Checks the surrounding locks again after the wait for another one. Meanwhile they may have been downgraded or lost. */
async function checkAfterWait(
  engine: Acquirer,
  around: readonly Frame[],
  acquired: SurroundingLock,
  resolved: ResolvedOptions,
): Promise<void> {
  try {
    for (const frame of around) checkReentry(engine, frame.hold, resolved);
  } catch (error) {
    await acquired.release();
    throw error;
  }
}

function checkReentry(engine: Acquirer, hold: SurroundingLock, { mode, limit }: ResolvedOptions): void {
  hold.assertHeld();
  if (hold.limit !== limit) {
    throw new LockConfigurationError(
      `'${hold.key}' is held with \`limit: ${hold.limit}\` by the work around this call, which now asks for it with \`limit: ${limit}\`. ` +
        'All who use a key must name the same `limit`; give one of them another key.',
      { key: hold.key, backend: engine.name },
    );
  }
  if (hold.mode === 'shared' && mode === 'exclusive') {
    throw new LockConfigurationError(
      `'${hold.key}' is held as a shared lock by the work around this call, which now asks for it as an exclusive one. ` +
        'Two readers that both did so would wait for each other for ever. Take the exclusive lock from the start, or end the shared one first.',
      { key: hold.key, backend: engine.name },
    );
  }
}

function lostMeanwhile(engine: Acquirer, hold: SurroundingLock): LockLostError {
  if (hold.signal.reason instanceof LockLostError) return hold.signal.reason;
  return new LockLostError(
    `The work under '${hold.key}' ended, but the lock was lost meanwhile: the server no longer had it at the release. Somebody else may have worked at the same time.`,
    { key: hold.key, backend: engine.name },
  );
}
