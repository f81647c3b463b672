import type { LockMode } from '../backends/backend.js';
import type { Clock } from './clock.js';
import { coveringFrame, type Frame, frameOf, runIn } from './context.js';
import type { LockEngine, WithLockOptions } from './engine.js';
import { LockConfigurationError, LockLostError, LockTimeoutError } from './errors.js';
import type { Hold } from './hold.js';
import { joined } from './keys.js';
import type { Lock } from './lock.js';
import type { ResolvedOptions } from './options.js';

/** Work that is under a lock: newly acquired, or that of the work around it. */
export interface Entered {
  readonly lock: Lock;
  /** Runs a function in the async context of the lock, where `currentLock()` and re-entry find it. */
  run<T>(work: () => T): T;
  /**
   * Ends the work: releases the lock, or steps back out of that of the work around it.
   * @throws LockLostError when the work did not fail but the lock was lost meanwhile
   */
  leave(failed: boolean): Promise<void>;
}

export async function enter(
  engine: LockEngine,
  clock: Clock,
  resolved: ResolvedOptions,
  keys: readonly string[],
  options: WithLockOptions,
): Promise<Entered> {
  const covered = options.reentrant === false ? [] : keys.map((key) => coveringFrame(engine, key));
  const outer = covered.find((frame) => frame !== undefined);
  if (!outer) return newly(engine, await engine.hold(keys, options));
  for (const frame of covered) if (frame) checkReentry(frame.hold, resolved.mode);
  const missing = keys.filter((_, index) => covered[index] === undefined);
  if (missing.length > 0) return newly(engine, await engine.hold(missing, options));
  return again(engine, clock, outer, keys, resolved);
}

function newly(engine: LockEngine, hold: Hold): Entered {
  const frame = frameOf(engine, hold);
  return {
    lock: hold,
    run: (work) => runIn(frame, work),
    async leave(failed) {
      frame.active = false;
      const stillHeld = await hold.release();
      if (!stillHeld && !failed) throw lostMeanwhile(hold);
    },
  };
}

/** Nested work goes on under the same lock, with the same token, one at a time. */
async function again(engine: LockEngine, clock: Clock, outer: Frame, keys: readonly string[], { wait, signal }: ResolvedOptions): Promise<Entered> {
  const startedAt = clock.now();
  const { hold, nested } = outer;
  if (!(await nested.enter(clock, startedAt + wait, signal))) {
    throw new LockTimeoutError(
      `'${joined(keys)}' is held by the work around this call, and other work nested in it did not end within ${wait} ms.`,
      { key: joined(keys), backend: engine.name, waitedMs: Math.round(clock.now() - startedAt), holder: hold.owner },
    );
  }
  try {
    hold.assertHeld();
  } catch (error) {
    nested.leave();
    throw error;
  }
  const frame = frameOf(engine, hold);
  return {
    lock: hold,
    run: (work) => runIn(frame, work),
    async leave(failed) {
      frame.active = false;
      nested.leave();
      if (!failed && !hold.held) throw lostMeanwhile(hold);
    },
  };
}

function checkReentry(hold: Hold, mode: LockMode): void {
  hold.assertHeld();
  if (hold.mode === 'shared' && mode === 'exclusive') {
    throw new LockConfigurationError(
      `'${hold.key}' is held as a shared lock by the work around this call, which now asks for it as an exclusive one. ` +
        'Two readers that both did so would wait for each other for ever. Take the exclusive lock from the start, or end the shared one first.',
      { key: hold.key },
    );
  }
}

function lostMeanwhile(hold: Hold): LockLostError {
  if (hold.signal.reason instanceof LockLostError) return hold.signal.reason;
  return new LockLostError(
    `The work under '${hold.key}' ended, but the lock was lost meanwhile: the server no longer had it at the release. Somebody else may have worked at the same time.`,
    { key: hold.key },
  );
}
