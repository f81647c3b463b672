import { describe, expect, it, onTestFinished, vi } from 'vitest';
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
