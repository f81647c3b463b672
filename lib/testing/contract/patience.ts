import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** What a busy machine with two cores may add to anything, in milliseconds. */
export const SLACK = 2_000;

/** The value, or an error that says what did not come. */
export async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  const bell = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: bell.signal }).then(() => {
    throw new Error(`Not within ${milliseconds} ms: ${what}.`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    bell.abort();
    late.catch(() => undefined);
  }
}

/** Asks until the answer is yes. For what only the server knows; whatever tells of itself is awaited instead. */
export async function eventually(
  what: string,
  check: () => Promise<boolean> | boolean,
  milliseconds = 5_000,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`Not within ${milliseconds} ms: ${what}.`);
    await sleep(10);
  }
}

/** Runs `count` jobs side by side, numbered from 0. */
export function together<T>(count: number, job: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => job(index)));
}

/** A promise with its keys outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((give) => (resolve = give));
  return { promise, resolve };
}

/** Stops the whole event loop, as a long synchronous computation does: no timer and no reply gets through. */
export function stall(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
