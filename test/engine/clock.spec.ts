import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ask } from '../../lib/engine/asking/ask.js';
import { SystemClock } from '../../lib/engine/time/clock.js';

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

describe('a timer of the system clock', () => {
  it('that is longer than those of Node comes in its time, and can be cancelled until then', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const clock = new SystemClock();
    const [run, never] = [vi.fn<() => void>(), vi.fn<() => void>()];
    const day = 86_400_000;
    clock.after(60 * day, run);
    const cancel = clock.after(60 * day, never);
    vi.advanceTimersByTime(59 * day);
    expect(run).not.toHaveBeenCalled();
    cancel();
    vi.advanceTimersByTime(2 * day);
    expect(run).toHaveBeenCalledTimes(1);
    expect(never).not.toHaveBeenCalled();
    clock.after(Infinity, never);
    vi.advanceTimersByTime(100 * day);
    expect(never).not.toHaveBeenCalled();
  });
});

describe('the time limits of the system clock', () => {
  it('each comes once, not before its time, and in the order of their times', async () => {
    const clock = new SystemClock();
    const began = clock.now();
    const came: { readonly what: string; readonly after: number }[] = [];
    await new Promise<void>((resolve) => {
      const come = (what: string) => () => {
        came.push({ what, after: clock.now() - began });
        if (came.length === 3) resolve();
      };
      clock.limit(60, come('last'));
      clock.limit(20, come('first'));
      clock.limit(40, come('second'));
    });
    expect(came.map(({ what }) => what)).toEqual(['first', 'second', 'last']);
    for (const [index, { after }] of came.entries()) expect(after).toBeGreaterThanOrEqual((index + 1) * 20);
  });

  it('one that was cancelled never comes, and those behind it do', async () => {
    const clock = new SystemClock();
    const never = vi.fn<() => void>();
    const cancel = clock.limit(10, never);
    const behind = new Promise<void>((resolve) => clock.limit(30, resolve));
    cancel();
    await behind;
    expect(never).not.toHaveBeenCalled();
  });

  it('keep the process alive only while there is one, and take one timer for all', async () => {
    const before = timers();
    const clock = new SystemClock();
    const cancels = Array.from({ length: 100 }, () => clock.limit(5_000, () => undefined));
    expect(timers()).toBe(before + 1);
    for (const cancel of cancels) cancel();
    expect(timers()).toBe(before);
    const again = clock.limit(5_000, () => undefined);
    expect(timers()).toBe(before + 1);
    again();
    expect(timers()).toBe(before);
  });

  it('one that comes and goes while others end does not keep the process alive', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => set.mockRestore());
    const clock = new SystemClock();
    await new Promise<void>((resolve) => {
      clock.limit(10, () => clock.limit(5_000, () => undefined)());
      clock.limit(10, () => void setImmediate(resolve));
    });
    const longest = set.mock.calls.findIndex(([, milliseconds = 0]) => milliseconds > 1_000);
    expect((set.mock.results[longest]!.value as NodeJS.Timeout).hasRef()).toBe(false);
  });

  it('come also when a test took the timers away meanwhile', async () => {
    const clock = new SystemClock();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const lost = vi.fn<() => void>();
    clock.limit(10, lost);
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await new Promise<void>((resolve) => clock.limit(10, resolve));
    expect(lost).toHaveBeenCalledTimes(1);
  });
});

/** A server in a thread of its own, for it answers while this one stands still. */
class Answering {
  /** How many questions were asked, and how many answered. */
  readonly #counts = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     for (let asked = 0; ; asked++) {
       Atomics.wait(workerData, 0, asked);
       parentPort.postMessage('answer');
       Atomics.store(workerData, 1, asked + 1);
       Atomics.notify(workerData, 1);
     }`,
    { eval: true, workerData: this.#counts },
  );

  constructor() {
    onTestFinished(() => void this.#worker.terminate());
  }

  ask(): Promise<string> {
    Atomics.add(this.#counts, 0, 1);
    Atomics.notify(this.#counts, 0);
    return new Promise((resolve) => void this.#worker.once('message', resolve));
  }

  /** Resolves in a turn of the event loop that reads no answers, so that the next ones come to be read after the timers. */
  async ready(): Promise<void> {
    await this.ask();
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Stands still until the answer has arrived, and at least that long. */
  standStill(clock: SystemClock, milliseconds: number): void {
    const until = clock.now() + milliseconds;
    Atomics.wait(this.#counts, 1, Atomics.load(this.#counts, 0) - 1);
    while (clock.now() < until);
  }
}

describe('a process that stood still', () => {
  it('hears the answer that came meanwhile before its time limit counts', async () => {
    const clock = new SystemClock();
    const server = new Answering();
    await server.ready();
    const answer = ask(clock, 20, () => server.ask());
    server.standStill(clock, 60);
    await expect(answer).resolves.toBe('answer');
  });

  it('hears it before a timer that is late runs, which may be cancelled by it', async () => {
    const clock = new SystemClock();
    const server = new Answering();
    await server.ready();
    const never = vi.fn<() => void>();
    const cancel = clock.after(20, never);
    const heard = server.ask().then(cancel);
    server.standStill(clock, 60);
    await heard;
    await new Promise<void>((resolve) => clock.after(20, resolve));
    expect(never).not.toHaveBeenCalled();
  });
});
