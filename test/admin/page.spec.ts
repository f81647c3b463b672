import { describe, expect, it } from 'vitest';
import { Waits } from '../../lib/admin/waits.js';
import type { LockEvent } from '../../lib/lock/events.js';
import { builtPage, currentPage } from '../../tools/build-page.js';

it('what is sent to the browser is what src/ says (npm run build:page)', async () => {
  expect(currentPage()).toBe(await builtPage());
});

it('what is sent to the browser stays small', () => {
  expect(currentPage().length).toBeLessThan(24_000);
});

describe('the waits of the last minutes', () => {
  const waited = (waitedMs: number, type: 'acquired' | 'timeout' = 'acquired') =>
    ({ type, waitedMs, contended: true }) as LockEvent;

  it('are counted by the time that they ended, and forgotten after ten minutes', () => {
    let now = 0;
    const waits = new Waits(() => now);
    waits.note(waited(120));
    waits.note(waited(80, 'timeout'));
    now = 10_000;
    waits.note(waited(900));
    expect(waits.bars().slice(-2)).toEqual([
      { count: 2, longestMs: 120, failed: 1 },
      { count: 1, longestMs: 900, failed: 0 },
    ]);
    now = 9 * 60_000;
    expect(waits.bars()).toHaveLength(60);
    expect(waits.bars().filter(({ count }) => count > 0)).toHaveLength(2);
    now = 10 * 60_000;
    expect(waits.bars().filter(({ count }) => count > 0)).toEqual([{ count: 1, longestMs: 900, failed: 0 }]);
    now = 60 * 60_000;
    expect(waits.bars().some(({ count }) => count > 0)).toBe(false);
  });

  it('leave out those who did not wait', () => {
    const waits = new Waits(() => 0);
    waits.note({ ...waited(2), contended: false } as LockEvent);
    waits.note(waited(0, 'timeout'));
    expect(waits.bars().some(({ count }) => count > 0)).toBe(false);
  });
});
