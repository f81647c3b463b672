import { describe, expect, it } from 'vitest';
import type { Session } from '../../lib/backends/backend.js';
import { Lease } from '../../lib/engine/leases/lease.js';
import { believedUntil, driftMargin, pushedSince } from '../../lib/engine/leases/validity.js';
import { VirtualClock } from '../simulation/virtual-clock.js';

describe('the sums that exclusion rests on', () => {
  it('a lease is believed from the sending of its request, less the drift margin', () => {
    expect(believedUntil(5_000, 10_000)).toBe(5_000 + 10_000 - 102);
    expect(driftMargin(0)).toBe(2);
    expect(driftMargin(15_000)).toBe(152);
  });

  it('two clocks that run apart by half a percent each do not break it', () => {
    for (const ttl of [10, 100, 1_000, 15_000, 3_600_000]) {
      // Ours is slow: what it takes for a lease is longer than that for the server, whose clock is fast.
      const ours = (believedUntil(0, ttl) - 0) / 0.995;
      const theirs = ttl / 1.005;
      expect(ours).toBeLessThan(theirs);
    }
  });

  it('a pushed grant counts from the question that was last answered with "not yet", moved on by the time between on the server', () => {
    expect(pushedSince({ sentAt: 1_000, at: 50_000 }, 50_500, 2_000)).toBe(1_000 + 500 * 0.99);
  });

  it('a pushed grant never counts from later than its arrival', () => {
    expect(pushedSince({ sentAt: 1_000, at: 50_000 }, 59_000, 2_000)).toBe(2_000);
  });

  it('a pushed grant that is older than the last "not yet", or cannot be dated, is void', () => {
    expect(pushedSince({ sentAt: 1_000, at: 50_000 }, 49_999, 2_000)).toBeUndefined();
    expect(pushedSince({ sentAt: 1_000, at: 50_000 }, 50_000, 2_000)).toBeUndefined();
    expect(pushedSince({ sentAt: 1_000, at: undefined }, 50_001, 2_000)).toBeUndefined();
    expect(pushedSince({ sentAt: 1_000, at: 50_000 }, undefined, 2_000)).toBeUndefined();
  });

  it('a confirmation of less, or of an older question, does not shorten what another one confirmed', () => {
    const lease = new Lease(new VirtualClock(), { session: { id: 'one', ttl: 10_000 } as Session }, 0, 10_000);
    lease.confirm(1_000, 10_000);
    const until = lease.validUntil;
    lease.confirm(2_000, 1_000);
    lease.confirm(500, 10_000);
    expect(lease.validUntil).toBe(until);
  });
});
