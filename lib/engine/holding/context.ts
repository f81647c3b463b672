import { AsyncLocalStorage } from 'node:async_hooks';
import type { Lock } from '../../lock/lock.js';
import { LocalLine } from './local-line.js';

/** A lock that work is under. */
export interface SurroundingLock extends Lock {
  readonly limit: number;
  readonly released: boolean;
  /** One more nested call runs under it. */
  joinNested(): void;
  leaveNested(): void;
  /** Runs work inside the context that observers set up around the lock. */
  around<T>(work: () => T): T;
}

/**
 * A stretch of work under a lock. The frames of nested work form a chain through the async context.
 *
 * A frame ends when its own work and all work nested in it have ended, awaited or not. Only then is the lock released or the next sibling
 * enters, so that nobody works beside work that still runs.
 */
export class Frame {
  /** The number of frames around it. */
  readonly depth: number;
  /** Nested work under the same lock runs one after another, not side by side. */
  readonly nested = new LocalLine();
  #active = true;
  /** Its own work and every nested call, including those that wait in `nested`. */
  #inside = 1;

  constructor(
    /** The engine of the lock. Keys of different backends are unrelated. */
    readonly engine: object,
    readonly hold: SurroundingLock,
    readonly parent: Frame | undefined,
    /** Ends the frame; resolves to whether the lock was held until then. */
    private readonly end: () => Promise<boolean>,
  ) {
    this.depth = (parent?.depth ?? -1) + 1;
  }

  /** Whether its own work still runs. Afterwards it covers nothing: work that outlives the lock does not count as nested. */
  get active(): boolean {
    return this.#active;
  }

  /** Counts one more nested call. That call must call `leaveNested`, however it ends. */
  joinNested(): void {
    this.#inside += 1;
    this.hold.joinNested();
  }

  /** As `finish`. */
  leaveNested(): Promise<boolean> | undefined {
    this.hold.leaveNested();
    return this.#leave();
  }

  /** Its own work has ended. When nothing else is inside, it resolves to whether the lock was held until then. */
  finish(): Promise<boolean> | undefined {
    this.#active = false;
    return this.#leave();
  }

  #leave(): Promise<boolean> | undefined {
    this.#inside -= 1;
    return this.#inside === 0 ? this.end() : undefined;
  }
}

/** One per process, even when a test runner loads two copies of this package. */
const KEY = Symbol.for('nestjs-distributed-lock:context');
const holder = globalThis as { [KEY]?: AsyncLocalStorage<Frame | undefined> };
const storage = (holder[KEY] ??= new AsyncLocalStorage<Frame | undefined>());

export function runIn<T>(frame: Frame, work: () => T): T {
  return storage.run(frame, work);
}

/**
 * Runs work outside every lock. A timer or push keeps the async context in which it was set up, and may lead to a new lock. That lock must
 * not count as nested in that context.
 */
export function runOutside(tell: () => void): void {
  storage.run(undefined, tell);
}

/** The frame around the current work, active or not. */
export function surroundingFrame(): Frame | undefined {
  return storage.getStore();
}

/** The innermost work in this async context that holds the key. */
export function coveringFrame(engine: object, key: string): Frame | undefined {
  for (let frame = storage.getStore(); frame; frame = frame.parent) {
    if (frame.active && frame.engine === engine && frame.hold.keys.includes(key)) return frame;
  }
  return undefined;
}

/**
 * The lock of the current work: the innermost one, or the innermost one of that key. `undefined` outside of `withLock` and `@Locked`, and
 * in work that has outlived its lock.
 */
export function currentLock(key?: string): Lock | undefined {
  for (let frame = storage.getStore(); frame; frame = frame.parent) {
    if (frame.active && !frame.hold.released && (key === undefined || frame.hold.keys.includes(key))) return frame.hold;
  }
  return undefined;
}
