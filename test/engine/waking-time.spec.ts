import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { memory } from '../../lib/backends/memory/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { Lease } from '../../lib/engine/leases/lease.js';
import { believedUntil } from '../../lib/engine/leases/validity.js';
import { SystemClock } from '../../lib/engine/time/clock.js';
import { LockTimeoutError } from '../../lib/lock/errors.js';

const TTL = 15_000;

/** A machine whose two clocks go as a test says. */
function machine() {
  let [monotonic, wall] = [1_000, 1_700_000_000_000];
  const clock = new SystemClock({ monotonic: () => monotonic, wall: () => wall });
  const claim = { key: 'key', owner: 'a:1', mode: 'exclusive', limit: 1, ttl: TTL, claimTtl: 3_000 } as const;
  const sentAt = clock.now();
  return {
    clock,
    lease: new Lease(clock, { claim }, believedUntil(sentAt, TTL), TTL),
    run: (ms: number, wallMs = ms) => {
      monotonic += ms;
      wall += wallMs;
      clock.now();
    },
  };
}

describe('a machine that was suspended', () => {
  it('has the time that it slept count against a lease', () => {
    const { lease, run } = machine();
    run(1_000);
    run(10, 60_000);
    expect(lease.live).toBe(false);
    expect(lease.remainingMs).toBe(0);
  });

  it('for a part of a lease: what is left is less by that much, until the next renewal is confirmed', () => {
    const { clock, lease, run } = machine();
    const before = lease.remainingMs;
    run(10, 5_010);
    expect(lease.remainingMs).toBeCloseTo(before - 5_010, 3);
    lease.confirm(clock.now(), TTL);
    expect(lease.remainingMs).toBeCloseTo(before, 3);
  });

  it('while a renewal was on its way, which counts from its sending', () => {
    const { clock, lease, run } = machine();
    const sentAt = clock.now();
    run(10, 20_000);
    lease.confirm(sentAt, TTL);
    expect(lease.live).toBe(false);
  });

  it('is not one whose process was stopped between two readings of its clocks', () => {
    let [monotonic, wall, stopsFor] = [1_000, 1_700_000_000_000, 0];
    const clock = new SystemClock({
      monotonic: () => {
        const read = monotonic;
        monotonic += stopsFor;
        wall += stopsFor;
        stopsFor = 0;
        return read;
      },
      wall: () => wall,
    });
    const before = clock.now();
    stopsFor = 5_000;
    clock.now();
    expect(clock.now() - before).toBe(5_000);
  });

  it('wakes a timer that came due meanwhile within a second or two', async () => {
    const { clock, run } = machine();
    const came = new Promise<void>((resolve) => clock.after(3_600_000, resolve));
    run(10, 3_600_000);
    await came;
  });
});

describe('what time synchronisation does costs nobody a lock', () => {
  it.each([
    ['slewing for a day', 86_400, 1_000, 1_000.5],
    ['small steps forward', 20, 100, 900],
    ['steps back', 20, 100, -3_600_000],
  ])('%s', (_, times, ms, wallMs) => {
    const { clock, run } = machine();
    const before = clock.now();
    for (let i = 0; i < times; i++) run(ms, wallMs);
    expect(clock.now() - before).toBeCloseTo(times * ms, 3);
  });
});

describe("with a test runner's fake timers", () => {
  it.each([
    ['all of them', undefined],
    ['without `performance`', ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] as const],
  ])('a wait ends with the faked time: %s', async (_, toFake) => {
    const engine = new LockEngine(memory());
    const lock = await engine.acquire('key');
    vi.useFakeTimers(toFake ? { toFake: [...toFake] } : {});
    onTestFinished(() => void vi.useRealTimers());
    const waiting = engine.acquire('key', { wait: '10s' });
    const failed = waiting.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(10_001);
    expect(await failed).toBeInstanceOf(LockTimeoutError);
    vi.useRealTimers();
    expect(lock.held).toBe(true);
    await lock.release();
    await engine.close(0);
  });

  it('setting the date is not time that passes', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const clock = new SystemClock();
    const before = clock.now();
    vi.setSystemTime(new Date('2040-01-01'));
    expect(clock.now() - before).toBe(0);
  });
});

it('thousands of time limits and waiters that come due together are spread over turns of the event loop', async () => {
  const clock = new SystemClock();
  const turns = new Map<number, number>();
  let turn = 0;
  let left = 2_000;
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      turn++;
      if (left > 0) setImmediate(tick);
    };
    setImmediate(tick);
    for (let i = 0; i < 2_000; i++) {
      clock.limit(5, () => {
        turns.set(turn, (turns.get(turn) ?? 0) + 1);
        if (--left === 0) resolve();
      });
    }
  });
  expect(Math.max(...turns.values())).toBeLessThanOrEqual(250);
});
