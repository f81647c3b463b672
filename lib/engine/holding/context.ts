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
  /** Runs work in what follows the lock puts around it. */
  around<T>(work: () => T): T;
}

/**
 * A stretch of work under a lock. Frames of nested work form a chain through the async context.
 *
 * A frame ends when its own work has ended and all work nested in it has, awaited or not. Only then the lock is released, or the next
 * sibling goes in: nobody else may come in beside work that runs on.
 */
export class Frame {
  /** How many frames it is inside of. */
  readonly depth: number;
  /** Nested work under the same lock runs one after another, not side by side. */
  readonly nested = new LocalLine();
  #active = true;
  /** Its own work, and every call nested in it, those that wait in `nested` included. */
  #inside = 1;

  constructor(
    /** The engine that the lock is from: keys of different backends have nothing to do with each other. */
    readonly engine: object,
    readonly hold: SurroundingLock,
    readonly parent: Frame | undefined,
    /** Ends the frame; resolves to whether the lock was held until then. */
    private readonly end: () => Promise<boolean>,
  ) {
    this.depth = (parent?.depth ?? -1) + 1;
  }

  /** Whether its own work still runs. Later it covers nothing any more: work that outlives the lock does not pass for it. */
  get active(): boolean {
    return this.#active;
  }

  /** Counts one more nested call, which must call `leaveNested` however it ends. */
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

/** One for the process, also when a test runner loads two copies of this package. */
const KEY = Symbol.for('nestjs-distributed-lock:context');
const holder = globalThis as { [KEY]?: AsyncLocalStorage<Frame | undefined> };
const storage = (holder[KEY] ??= new AsyncLocalStorage<Frame | undefined>());

export function runIn<T>(frame: Frame, work: () => T): T {
  return storage.run(frame, work);
}

/**
 * Runs what is nobody's nested work. Timers and pushes come in the async context of whoever happened to set them up, and what they
 * tell may make somebody lock: that must not pass for work under the locks of that context.
 */
export function runOutside(tell: () => void): void {
  storage.run(undefined, tell);
}

/** The frame around the present work, active or not. */
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
 * The lock that the present work runs under: the innermost one, or the innermost one of that key. `undefined` outside of
 * `withLock` and `@Locked`, and in work that has outlived its lock.
 */
export function currentLock(key?: string): Lock | undefined {
  for (let frame = storage.getStore(); frame; frame = frame.parent) {
    if (frame.active && !frame.hold.released && (key === undefined || frame.hold.keys.includes(key))) return frame.hold;
  }
  return undefined;
}
