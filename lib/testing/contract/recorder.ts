import { performance } from 'node:perf_hooks';
import type { LockEngine } from '../../engine/engine.js';
import type { AcquireOptions, Lock } from '../../lock/lock.js';
import type { Hold } from './history.js';

type Open = { -readonly [Name in keyof Hold]: Hold[Name] } & { readonly lock: Lock };

/** Writes down who held what and when, in all engines of a test, by what their handles say. */
export class Recorder {
  private readonly holds: Open[] = [];
  private readonly queued = new Map<string, number>();

  constructor(engines: readonly LockEngine[]) {
    for (const engine of engines) {
      engine.listen((event) => {
        if (event.type === 'waiting') this.queued.set(event.owner, performance.now());
      });
    }
  }

  /** Acquires, works, leaves and releases. */
  async hold(
    engine: LockEngine,
    keys: string | readonly string[],
    options: AcquireOptions,
    work: (lock: Lock) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const asked = performance.now();
    const lock = await engine.acquire(keys, options);
    const leave = this.enter(lock, asked, options.limit ?? 1);
    try {
      await work(lock);
    } finally {
      leave();
      await lock.release();
    }
  }

  /** Notes that the lock is held from now on, until the returned function is called or its `held` turns false. */
  enter(lock: Lock, asked: number, limit = 1): () => void {
    const from = performance.now();
    if (!lock.held) return () => undefined;
    // Somebody comes in: whoever has learned by now that it lost the lock is not inside any more.
    for (const other of this.holds) if (other.to === Infinity && !other.lock.held) other.to = from;
    // Several keys are asked for one after another, at times that are not seen from here.
    const queued = lock.keys.length === 1 ? this.queued.get(lock.owner) : undefined;
    const entered = lock.keys.map((key): Open => {
      const fencingToken = lock.fencingTokens.get(key);
      return { key, owner: lock.owner, mode: lock.mode, limit, fencingToken, asked, queued, from, to: Infinity, lock };
    });
    this.holds.push(...entered);
    return () => {
      const to = performance.now();
      for (const hold of entered) hold.to = Math.min(hold.to, to);
    };
  }

  history(): Hold[] {
    return this.holds.map(({ lock: _, ...hold }) => hold);
  }
}
