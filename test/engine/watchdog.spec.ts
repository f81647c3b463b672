import { describe, expect, it, vi } from 'vitest';
import { Watchdog, type WatchdogOptions } from '../../lib/engine/leases/watchdog.js';
import type { Loss } from '../../lib/engine/leases/loss.js';
import { Lease } from '../../lib/engine/leases/lease.js';
import { believedUntil } from '../../lib/engine/leases/validity.js';
import { VirtualClock } from '../simulation/virtual-clock.js';
import { Dice } from '../simulation/dice.js';
import { isSettled, silence } from './support/bench.js';

const TTL = 12_000;

function keeperOf(renew: WatchdogOptions['renew'], options: Partial<WatchdogOptions> = {}) {
  const clock = new VirtualClock();
  const calls: { readonly at: number; readonly leases: readonly Lease[] }[] = [];
  const watchdog = new Watchdog({
    clock,
    random: () => 1,
    callTimeout: 2_000,
    renew(leases) {
      calls.push({ at: clock.now(), leases });
      return renew(leases);
    },
    ...options,
  });
  const owners = new WeakMap<object, string>();
  return {
    clock,
    calls,
    watchdog,
    ownerOf: (lease: Lease) => owners.get(lease),
    kept(owner = 'owner', { renewed = true, ttl = TTL } = {}) {
      const claim = { key: owner, owner, mode: 'exclusive', limit: 1, ttl, claimTtl: ttl } as const;
      const lease = new Lease(clock, { claim }, believedUntil(clock.now(), ttl), ttl);
      owners.set(lease, owner);
      const lost = vi.fn<(loss: Loss) => void>();
      const renewalFailed = vi.fn<(error: unknown, remainingMs: number) => void>();
      lease.listen({ lost, renewalFailed });
      watchdog.keep(lease, renewed);
      return { lease, lost, renewalFailed };
    },
  };
}

const yes: WatchdogOptions['renew'] = async (leases) => leases.map(() => true);

describe('the watchdog', () => {
  it('renews a third of the lease after the last confirmation, for as long as it is kept', async () => {
    const { clock, calls, kept } = keeperOf(yes);
    const { lease, lost } = kept();
    await clock.advance(10 * TTL);
    expect(lease.live).toBe(true);
    expect(lost).not.toHaveBeenCalled();
    expect(calls.length).toBeGreaterThanOrEqual(29);
    expect(calls.length).toBeLessThanOrEqual(33);
  });

  it('renews what is due together in one call of at most a hundred', async () => {
    const { clock, calls, kept } = keeperOf(yes);
    for (let i = 0; i < 250; i++) kept(`owner ${i}`);
    await clock.advance(TTL / 3);
    expect(calls.map(({ leases }) => leases.length)).toEqual([100, 100, 50]);
    expect(new Set(calls.map(({ at }) => at)).size).toBe(1);
  });

  it('spreads the first renewals of locks that were taken in one burst, and still batches them', async () => {
    const { clock, calls, kept } = keeperOf(yes, { random: new Dice(1).random });
    for (let i = 0; i < 1_000; i++) kept(`owner ${i}`);
    await clock.advance(TTL / 3);
    expect(calls.reduce((sum, { leases }) => sum + leases.length, 0)).toBe(1_000);
    const times = calls.map(({ at }) => at);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(TTL / 10);
    expect(calls.length).toBeLessThan(30);
  });

  it('has one timer for a thousand leases, and none for those that ended in the turn in which they began', async () => {
    const { clock, watchdog, kept } = keeperOf(yes);
    for (let i = 0; i < 1_000; i++) void watchdog.drop(kept(`short ${i}`).lease);
    await clock.advance(0);
    expect(clock.pending).toBe(0);
    for (let i = 0; i < 1_000; i++) kept(`owner ${i}`);
    await clock.advance(0);
    expect(clock.pending).toBe(1);
  });

  it('a batch that fails takes no other with it', async () => {
    const { clock, kept, ownerOf } = keeperOf(async (leases) => {
      if (leases.some((lease) => ownerOf(lease) === 'owner 150')) throw new Error('that server is down');
      return leases.map(() => true);
    });
    const all = Array.from({ length: 250 }, (_, i) => kept(`owner ${i}`));
    await clock.advance(3 * TTL);
    // Within a call it is the backend's part to keep them apart.
    const others = all.filter((_, index) => index < 100 || index >= 200);
    for (const { lost } of others) expect(lost).not.toHaveBeenCalled();
    expect(all[150]?.lost).toHaveBeenCalledTimes(1);
  });

  it('a call that hangs holds up no other', async () => {
    const { clock, kept, ownerOf } = keeperOf((leases) => (ownerOf(leases[0]!) === 'frozen' ? silence() : yes(leases)));
    const frozen = kept('frozen');
    await clock.advance(1_000);
    const well = kept('well');
    await clock.advance(3 * TTL);
    expect(frozen.lost).toHaveBeenCalledTimes(1);
    expect(well.lease.live).toBe(true);
  });

  it('an unknown outcome neither renews nor loses: it is tried again, faster, until the lease ends on our own clock', async () => {
    const { clock, calls, kept } = keeperOf(async () => {
      throw new Error('connection reset');
    });
    const { lease, lost, renewalFailed } = kept();
    await clock.advance(believedUntil(0, TTL) - 1);
    expect(lease.live).toBe(true);
    expect(lost).not.toHaveBeenCalled();
    expect(calls.length).toBeGreaterThanOrEqual(6);
    expect(renewalFailed).toHaveBeenCalledTimes(calls.length);
    await clock.advance(2);
    expect(lost).toHaveBeenCalledTimes(1);
    const { length } = calls;
    await clock.advance(3 * TTL);
    expect(calls).toHaveLength(length);
    expect(clock.pending).toBe(0);
  });

  it('one confirmation after errors keeps the lease', async () => {
    let failures = 3;
    const { clock, kept } = keeperOf(async (leases) => {
      if (failures-- > 0) throw new Error('connection reset');
      return leases.map(() => true);
    });
    const { lease, lost, renewalFailed } = kept();
    await clock.advance(3 * TTL);
    expect(renewalFailed).toHaveBeenCalledTimes(3);
    expect(lost).not.toHaveBeenCalled();
    expect(lease.live).toBe(true);
  });

  it('"not known" for one of many is an unknown outcome for that one', async () => {
    const { clock, kept, ownerOf } = keeperOf(async (leases) =>
      leases.map((lease) => (ownerOf(lease) === 'b' ? undefined : true)),
    );
    const [a, b] = [kept('a'), kept('b')];
    await clock.advance(2 * TTL);
    expect(a.lease.live).toBe(true);
    expect(b.renewalFailed).toHaveBeenCalled();
    expect(b.lost).toHaveBeenCalledTimes(1);
  });

  it('what the server no longer has is lost at once', async () => {
    const { clock, calls, kept } = keeperOf(async (leases) => leases.map(() => false));
    const { lease, lost } = kept();
    await clock.advance(TTL / 3);
    expect(lease.live).toBe(false);
    expect(lost).toHaveBeenCalledTimes(1);
    await clock.advance(TTL);
    expect(calls).toHaveLength(1);
  });

  // With the shortest lease the last call before the end is still awaited at the end.
  it.each([TTL, 100])('tells the end in time also while an answer is awaited, with a lease of %i ms', async (ttl) => {
    const { clock, kept } = keeperOf(silence, { callTimeout: 60_000 });
    const { lost } = kept('owner', { ttl });
    await clock.advance(Math.ceil(believedUntil(0, ttl)) - 1);
    expect(lost).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(lost).toHaveBeenCalledTimes(1);
  });

  it('a call takes a quarter of the lease at most, so that there is time to try again', async () => {
    const { clock, calls, kept } = keeperOf(silence, { callTimeout: 60_000 });
    kept();
    await clock.advance(TTL);
    expect(calls.length).toBeGreaterThanOrEqual(2);
  });

  it('validity counts from the sending of the renewal, not from its answer', async () => {
    const clock = new VirtualClock();
    const watchdog = new Watchdog({
      clock,
      random: () => 1,
      callTimeout: 2_000,
      renew: (leases) => new Promise((resolve) => void clock.after(1_500, () => resolve(leases.map(() => true)))),
    });
    const claim = { key: 'k', owner: 'o', mode: 'exclusive', limit: 1, ttl: TTL, claimTtl: TTL } as const;
    const lease = new Lease(clock, { claim }, believedUntil(0, TTL), TTL);
    watchdog.keep(lease, true);
    await clock.advance(TTL / 3 + 1_600);
    const sentAt = lease.validUntil - believedUntil(0, TTL);
    expect(sentAt).toBeGreaterThan(TTL / 3 - TTL / 50);
    expect(sentAt).toBeLessThanOrEqual(TTL / 3);
    watchdog.stop();
  });

  it('an answer that comes after the lease has ended does not bring it back', async () => {
    let answer: (held: readonly boolean[]) => void = () => undefined;
    const { clock, kept } = keeperOf(() => new Promise((resolve) => (answer = resolve)), { callTimeout: 60_000 });
    const { lease, lost } = kept();
    await clock.advance(TTL);
    expect(lost).toHaveBeenCalledTimes(1);
    answer([true]);
    await clock.advance(1);
    expect(lease.live).toBe(false);
  });

  it('dropping a lease awaits the renewal that is on its way, and no other follows', async () => {
    let answer: (held: readonly boolean[]) => void = () => undefined;
    const { clock, calls, watchdog, kept } = keeperOf(() => new Promise((resolve) => (answer = resolve)));
    const { lease } = kept();
    await clock.advance(TTL / 3);
    expect(calls).toHaveLength(1);
    const dropped = Promise.resolve(watchdog.drop(lease));
    expect(await isSettled(dropped)).toBe(false);
    answer([true]);
    await dropped;
    await clock.advance(2 * TTL);
    expect(calls).toHaveLength(1);
    expect(watchdog.size).toBe(0);
  });

  it('of several that are asked for at once each goes when the one before was answered, and none after the drop', async () => {
    const answers: ((held: readonly boolean[]) => void)[] = [];
    const { clock, watchdog, kept } = keeperOf(() => new Promise((resolve) => void answers.push(resolve)));
    const { lease } = kept();
    await clock.advance(TTL / 3);
    const first = watchdog.renewNow(lease);
    const second = watchdog.renewNow(lease);
    answers[0]?.([true]);
    await clock.advance(1);
    expect(answers).toHaveLength(2);
    const dropped = Promise.resolve(watchdog.drop(lease));
    lease.end();
    expect(await isSettled(dropped)).toBe(false);
    answers[1]?.([true]);
    await dropped;
    expect(await Promise.all([first, second])).toEqual([true, false]);
    expect(answers).toHaveLength(2);
    expect(lease.renewing).toBeUndefined();
  });

  it('dropping a lease whose renewal hangs takes the time limit of a call at most', async () => {
    const { clock, watchdog, kept } = keeperOf(silence);
    const { lease } = kept();
    await clock.advance(TTL / 3);
    const before = clock.now();
    await clock.run(Promise.resolve(watchdog.drop(lease)));
    expect(clock.now() - before).toBeLessThanOrEqual(2_000);
  });

  it('without the watch-dog it only tells the end', async () => {
    const { clock, calls, kept } = keeperOf(yes);
    const { lost } = kept('owner', { renewed: false });
    await clock.advance(Math.ceil(believedUntil(0, TTL)) - 1);
    expect(lost).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(lost).toHaveBeenCalledTimes(1);
    expect(calls).toHaveLength(0);
  });

  it('renews at once when asked to, and says what the server said', async () => {
    let held: boolean | undefined = true;
    const { clock, watchdog, kept } = keeperOf(async (leases) => leases.map(() => held));
    const { lease, lost } = kept();
    await clock.advance(1_000);
    lease.renewFor(60_000);
    expect(await watchdog.renewNow(lease)).toBe(true);
    expect(lease.validUntil).toBe(believedUntil(1_000, 60_000));
    held = undefined;
    await expect(watchdog.renewNow(lease)).rejects.toThrow('the server did not confirm the renewal');
    held = false;
    expect(await watchdog.renewNow(lease)).toBe(false);
    expect(lost).toHaveBeenCalledTimes(1);
  });

  it('a renewal that was asked for and got no answer does not keep the regular ones from being made', async () => {
    let isSilent = true;
    const { clock, watchdog, kept } = keeperOf((leases) => (isSilent ? silence() : yes(leases)));
    const { lease, lost } = kept();
    await clock.advance(TTL / 3 - 500);
    const asked = watchdog.renewNow(lease).catch((error: unknown) => error);
    await clock.advance(1_000);
    isSilent = false;
    expect(await clock.run(asked)).toBeInstanceOf(Error);
    await clock.advance(2 * TTL);
    expect(lost).not.toHaveBeenCalled();
  });

  it('after a stall, a lease that has ended meanwhile is told and not asked for', async () => {
    const { clock, calls, kept } = keeperOf(yes);
    const { lost } = kept();
    clock.freeze();
    await clock.advance(2 * TTL);
    clock.thaw();
    await clock.advance(1);
    expect(lost).toHaveBeenCalledTimes(1);
    expect(calls).toHaveLength(0);
  });

  it('stopped, it leaves no timer', async () => {
    const { clock, watchdog, kept } = keeperOf(yes);
    for (let i = 0; i < 10; i++) kept(`owner ${i}`);
    watchdog.stop();
    expect(clock.pending).toBe(0);
    expect(watchdog.size).toBe(0);
  });
});
