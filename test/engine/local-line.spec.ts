import { describe, expect, it } from 'vitest';
import { LocalLine } from '../../lib/engine/holding/local-line.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { isSettled } from './support/bench.js';

describe('the line within a process', () => {
  it('lets in one at a time, in the order in which they came', async () => {
    const clock = new VirtualClock();
    const line = new LocalLine();
    const entered: number[] = [];
    const all = Array.from({ length: 5 }, async (_, i) => {
      expect(await line.enter(clock, Infinity)).toBe(true);
      entered.push(i);
    });
    for (let i = 0; i < 5; i++) {
      await all[i];
      expect(entered).toEqual(Array.from({ length: i + 1 }, (_, index) => index));
      line.leave();
    }
  });

  it('is free again when the last one has left', async () => {
    const clock = new VirtualClock();
    const line = new LocalLine();
    await line.enter(clock, Infinity);
    line.leave();
    expect(await line.enter(clock, clock.now())).toBe(true);
  });

  it('says no at the deadline, and whoever gave up holds up nobody', async () => {
    const clock = new VirtualClock();
    const line = new LocalLine();
    await line.enter(clock, Infinity);
    const impatient = line.enter(clock, 100);
    const patient = line.enter(clock, Infinity);
    expect(await clock.run(impatient)).toBe(false);
    expect(clock.now()).toBe(100);
    expect(await isSettled(patient)).toBe(false);
    line.leave();
    expect(await patient).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("rejects with the signal's own reason, before and while it waits, and leaves nothing behind", async () => {
    const clock = new VirtualClock();
    const line = new LocalLine();
    await line.enter(clock, Infinity);
    const reason = { why: 'the client went away' };
    const aborted = new AbortController();
    const waiting = line.enter(clock, 60_000, aborted.signal);
    aborted.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(line.enter(clock, 60_000, aborted.signal)).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
    line.leave();
    expect(await line.enter(clock, 0)).toBe(true);
  });
});
