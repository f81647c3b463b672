import { describe, expect, it, vi } from 'vitest';
import { ask, NoAnswerError } from '../../lib/engine/asking/ask.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { silence } from './support/bench.js';

describe('a question with a time limit', () => {
  it('gives the answer, or the error as it is, and leaves no timer', async () => {
    const clock = new VirtualClock();
    const error = new Error('mine');
    expect(await ask(clock, 100, async () => 'yes')).toBe('yes');
    await expect(ask(clock, 100, () => Promise.reject(error))).rejects.toBe(error);
    expect(clock.pending).toBe(0);
  });

  it('ends when nobody answers', async () => {
    const clock = new VirtualClock();
    await expect(clock.run(ask(clock, 2_000, silence))).rejects.toThrow(new NoAnswerError(2_000));
    expect(clock.now()).toBe(2_000);
  });

  it('hands an answer that nobody waits for any more to `late`', async () => {
    const clock = new VirtualClock();
    const late = vi.fn<(answer: string) => void>();
    const answered = ask(
      clock,
      100,
      () => new Promise<string>((resolve) => void clock.after(150, () => resolve('granted'))),
      { late },
    );
    await expect(clock.run(answered)).rejects.toThrow('no answer within 100 ms');
    expect(late).not.toHaveBeenCalled();
    await clock.advance(100);
    expect(late).toHaveBeenCalledExactlyOnceWith('granted');
  });

  it('an error that comes too late concerns nobody', async () => {
    const clock = new VirtualClock();
    const failing = ask(
      clock,
      100,
      () => new Promise((_, reject) => void clock.after(150, () => reject(new Error('late')))),
    );
    await expect(clock.run(failing)).rejects.toThrow('no answer within 100 ms');
    await clock.advance(100);
  });
});
