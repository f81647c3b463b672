import { describe, expect, it, vi } from 'vitest';
import { NoAnswerError } from '../../lib/engine/asking/ask.js';
import { ReleaseRetries } from '../../lib/engine/asking/release-retries.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { silence } from './support/bench.js';

function undoOn() {
  const clock = new VirtualClock();
  return { clock, undo: new ReleaseRetries(clock, 1_000), onUnknown: vi.fn<(error: unknown) => void>() };
}

const refused = async (): Promise<boolean> => {
  throw new Error('connection refused');
};

describe('what is taken back', () => {
  it('a release that is confirmed is sent once, and says what the server said', async () => {
    const { clock, undo, onUnknown } = undoOn();
    const release = vi.fn<() => Promise<boolean>>().mockResolvedValueOnce(true).mockResolvedValueOnce(false);
    expect(await undo.release(release, 60_000, onUnknown)).toBe(true);
    expect(await undo.release(release, 60_000, onUnknown)).toBe(false);
    await clock.advance(60_000);
    expect(release).toHaveBeenCalledTimes(2);
    expect(onUnknown).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it('a release that fails is unknown, told once, and tried again until it is confirmed', async () => {
    const { clock, undo, onUnknown } = undoOn();
    let failures = 5;
    const release = vi.fn<() => Promise<boolean>>(() => (failures-- > 0 ? refused() : Promise.resolve(true)));
    expect(await undo.release(release, 60_000, onUnknown)).toBe('unknown');
    expect(undo.size).toBe(1);
    await clock.advance(60_000);
    expect(release).toHaveBeenCalledTimes(6);
    expect(onUnknown).toHaveBeenCalledTimes(1);
    expect(undo.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('a server that does not answer is given a time limit, and asked again', async () => {
    const { clock, undo, onUnknown } = undoOn();
    const release = vi.fn<() => Promise<boolean>>(silence);
    expect(await clock.run(undo.release(release, 10_000, onUnknown))).toBe('unknown');
    expect(clock.now()).toBe(1_000);
    expect(onUnknown.mock.calls[0]?.[0]).toBeInstanceOf(NoAnswerError);
    await clock.advance(5_000);
    expect(release.mock.calls.length).toBeGreaterThan(3);
  });

  it('tries slower and slower, and stops when the server must have forgotten it', async () => {
    const { clock, undo, onUnknown } = undoOn();
    const tries: number[] = [];
    await undo.release(
      () => {
        tries.push(clock.now());
        return refused();
      },
      30_000,
      onUnknown,
    );
    await clock.advance(120_000);
    expect(tries.slice(0, 4)).toEqual([0, 50, 150, 350]);
    const gaps = tries.slice(1).map((time, index) => time - (tries[index] ?? 0));
    expect(Math.max(...gaps)).toBe(2_000);
    expect(tries.at(-1)).toBeLessThanOrEqual(32_000);
    expect(undo.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('settle waits until all is taken back', async () => {
    const { clock, undo, onUnknown } = undoOn();
    let isUp = false;
    await undo.release(() => (isUp ? Promise.resolve(true) : refused()), 60_000, onUnknown);
    clock.after(300, () => (isUp = true));
    await clock.run(undo.settle(2_000));
    expect(clock.now()).toBeLessThan(1_000);
    expect(undo.size).toBe(0);
  });

  it('settle gives up after its time, and then nothing is tried any more', async () => {
    const { clock, undo, onUnknown } = undoOn();
    const release = vi.fn<() => Promise<boolean>>(silence);
    void undo.release(release, 60_000, onUnknown);
    await clock.advance(1_100);
    await clock.run(undo.settle(1_500));
    const { length } = release.mock.calls;
    await clock.advance(60_000);
    expect(release.mock.calls).toHaveLength(length);
    expect(clock.pending).toBe(0);
  });
});
