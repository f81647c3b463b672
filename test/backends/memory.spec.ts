import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Claim, Waiter } from '../../lib/backends/backend.js';
import { memory, memoryInside } from '../../lib/backends/memory/index.js';
import { type Ending, EndingFirst } from '../../lib/backends/memory/ending-first.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockTimeoutError } from '../../lib/lock/errors.js';
import { Bench } from '../engine/support/bench.js';
import { Dice } from '../simulation/dice.js';

const NOBODY: Waiter = { granted: () => undefined, look: () => undefined };
const MANY = 10_000;

/** Counts how often anybody looks at who a claim belongs to. */
function countedClaims(key = 'key') {
  const counted = { looks: 0 };
  const claim = (owner: string, ttl = 60_000): Claim => ({
    key,
    get owner() {
      counted.looks++;
      return owner;
    },
    mode: 'exclusive',
    limit: 1,
    ttl,
    claimTtl: 3_000,
  });
  return { counted, claim };
}

describe('the table of the memory backend with 10,000 waiters on one key', () => {
  /** What each verb costs, in looks at claims. */
  function costs(waiters: number): Record<string, number> {
    let now = 0;
    const table = new LockTable(() => now);
    const { counted, claim } = countedClaims();
    const cost = (verb: () => void): number => {
      counted.looks = 0;
      verb();
      return counted.looks;
    };
    table.attempt(claim('holder'));
    for (let i = 0; i < waiters; i++) table.attempt(claim(`waiter:${i}`), NOBODY);
    const last = claim('last');
    return {
      join: cost(() => table.attempt(last, NOBODY)),
      look: cost(() => table.attempt(last, NOBODY)),
      try: cost(() => table.attempt(claim('stranger'))),
      renew: cost(() => table.renew([claim('holder')])),
      leave: cost(() => table.release(claim(`waiter:${waiters >> 1}`))),
      inspect: cost(() => table.inspect('key')),
      release: cost(() => table.release(claim('holder'))),
      'the end of a lease': cost(() => {
        now = 4_000;
        table.attempt(last, NOBODY);
      }),
    };
  }

  it('no verb looks at more claims than with 200', () => {
    expect(costs(MANY)).toEqual(costs(200));
  });

  it('those who fall silent leave one by one, and nothing of them stays', () => {
    let now = 0;
    const table = new LockTable(() => now);
    const { claim } = countedClaims();
    table.attempt(claim('holder', 10));
    for (let i = 0; i < MANY; i++) table.attempt(claim(`waiter:${i}`), NOBODY);
    now = 1_000_000;
    expect(table.inspect('key').waiting).toBe(0);
    expect(table.size).toBe(0);
  });

  it('few of them look while nothing happens, their looks are spread, and the key goes on when a lease ends', async () => {
    const bench = new Bench();
    const holder = bench.process();
    await bench.clock.run(holder.engine.acquire('key', { ttl: 90_000, renew: false }));
    const { engine, asked } = bench.process();
    const served = Array.from({ length: MANY }, () => engine.acquire('key', { wait: '5m' }));
    await bench.clock.advance(60_000);
    const looks = asked.filter(({ question }) => question === 'attempt').slice(MANY);
    const perSecond = new Map<number, number>();
    for (const { at } of looks) perSecond.set(Math.floor(at / 1_000), (perSecond.get(Math.floor(at / 1_000)) ?? 0) + 1);
    expect(looks.length / 60).toBeLessThan(150);
    await bench.clock.advance(31_000);
    const lock = await bench.clock.run(Promise.race(served));
    expect(lock.held).toBe(true);
    for (const one of served)
      one.then(
        (lock) => lock.release(),
        () => undefined,
      );
    await bench.clock.advance(10_000);
    expect(bench.isUntouched('key')).toBe(true);
  });
});

describe('a queue of what ends', () => {
  it('has the earliest at hand, whatever is added, moved and removed, and takes few steps for it', () => {
    let reads = 0;
    class Thing implements Ending {
      rank = 0;
      constructor(public time: number) {}
      get ends(): number {
        reads++;
        return this.time;
      }
    }
    const dice = new Dice(7);
    const queue = new EndingFirst<Thing>();
    const model: Thing[] = [];
    let most = 0;
    for (let step = 0; step < 4_000; step++) {
      reads = 0;
      const thing = dice.chance(0.5) || model.length === 0 ? new Thing(dice.whole(0, 1_000)) : dice.pick(model);
      if (!model.includes(thing)) {
        model.push(thing);
        queue.add(thing);
      } else if (dice.chance(0.5)) {
        thing.time = dice.whole(0, 1_000);
        queue.moved(thing);
      } else {
        model.splice(model.indexOf(thing), 1);
        queue.remove(thing);
      }
      most = Math.max(most, reads);
      expect(queue.first?.time).toBe(model.length > 0 ? Math.min(...model.map(({ time }) => time)) : undefined);
    }
    expect(model.length).toBeGreaterThan(500);
    expect(most).toBeLessThan(60);
  });
});

describe('memory() under the fake timers of a test runner', () => {
  const engineInFakedTime = (): LockEngine => {
    vi.useFakeTimers();
    const engine = new LockEngine(memory());
    onTestFinished(async () => {
      vi.useRealTimers();
      await engine.close(0);
    });
    return engine;
  };

  it('a wait ends with the faked time', async () => {
    const engine = engineInFakedTime();
    await engine.acquire('key');
    const waited = engine.acquire('key', { wait: '5s' }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await waited).toBeInstanceOf(LockTimeoutError);
  });

  it('a lease that nobody renews ends with the faked time, and the next one is served', async () => {
    const engine = engineInFakedTime();
    const first = await engine.acquire('key', { ttl: '1m', renew: false });
    const second = engine.acquire('key', { wait: '2m' });
    await vi.advanceTimersByTimeAsync(61_000);
    expect((await second).held).toBe(true);
    expect(first.held).toBe(false);
  });

  it('a lease that began before the timers were faked ends with them as well', async () => {
    const backend = memory();
    const engine = new LockEngine(backend);
    await engine.acquire('key', { ttl: '1m', renew: false });
    vi.useFakeTimers();
    onTestFinished(async () => {
      vi.useRealTimers();
      await engine.close(0);
    });
    expect(await engine.tryAcquire('key')).toBeNull();
    vi.advanceTimersByTime(61_000);
    expect(await engine.tryAcquire('key')).not.toBeNull();
  });
});

describe('memory() in a process that stood still for longer than every lease', () => {
  /** Two applications of one process with one table; it has just stood still. Their first timers are still to come. */
  function stoodStill() {
    const { clock } = new Bench();
    const table = new LockTable(() => clock.now());
    const [engine, other] = [0, 1].map(() => {
      const made = new LockEngine(memoryInside(table), { clock, prefix: '', random: () => 0.5 });
      onTestFinished(async () => {
        clock.thaw();
        await clock.run(made.close(0));
      });
      return made;
    }) as [LockEngine, LockEngine];
    return {
      clock,
      engine,
      other,
      standStill: async () => {
        clock.freeze();
        await clock.advance(600_000);
      },
      goOn: async () => {
        clock.thaw();
        await clock.advance(100);
      },
    };
  }

  it('a lock that is renewed stays, and nobody else comes in', async () => {
    const { clock, engine, other, standStill, goOn } = stoodStill();
    const lock = await clock.run(engine.acquire('key', { ttl: 300 }));
    await standStill();
    // Before any timer could run.
    expect(lock.held).toBe(true);
    expect(lock.signal.aborted).toBe(false);
    expect(await other.tryAcquire('key')).toBeNull();
    await goOn();
    expect(lock.held).toBe(true);
    expect(await other.tryAcquire('key')).toBeNull();
    expect(lock.remainingMs).toBeGreaterThan(100);
    expect(await clock.run(lock.release())).toBe(true);
    expect(await other.tryAcquire('key')).not.toBeNull();
  });

  it('readers and permits stay, beside each other, up to the limit', async () => {
    const { clock, engine, other, standStill, goOn } = stoodStill();
    const take = (by: LockEngine, key: string) =>
      by.tryAcquire(key, key === 'file' ? { ttl: 300, mode: 'shared' } : { ttl: 300, limit: 2 });
    const held = await Promise.all([engine, other].flatMap((by) => [take(by, 'file'), take(by, 'pool')]));
    await standStill();
    expect(held.map((lock) => lock?.held)).toEqual([true, true, true, true]);
    expect(await engine.tryAcquire('file')).toBeNull();
    expect(await take(engine, 'pool')).toBeNull();
    await goOn();
    expect(held.map((lock) => lock?.held)).toEqual([true, true, true, true]);
    expect(await clock.run(Promise.all(held.map(async (lock) => lock?.release())))).toEqual([true, true, true, true]);
  });

  it('a release straight after it finds the lock held', async () => {
    const { clock, engine, standStill } = stoodStill();
    const lock = await clock.run(engine.acquire('key', { ttl: 300 }));
    await standStill();
    const released = lock.release();
    clock.thaw();
    expect(await clock.run(released)).toBe(true);
  });

  it('a waiter of the process is served after the holder, not beside it', async () => {
    const { clock, engine, other, standStill, goOn } = stoodStill();
    const first = await clock.run(engine.acquire('key', { ttl: 300 }));
    const second = other.acquire('key', { wait: Infinity });
    await clock.advance(10);
    await standStill();
    await goOn();
    expect(first.held).toBe(true);
    const released = first.release();
    expect((await clock.run(second)).held).toBe(true);
    expect(await released).toBe(true);
  });

  it('a lock that is not renewed ends all the same', async () => {
    const { clock, engine, other, standStill } = stoodStill();
    const lock = await clock.run(engine.acquire('key', { ttl: 300, renew: false }));
    await standStill();
    expect(lock.held).toBe(false);
    expect(await other.tryAcquire('key')).not.toBeNull();
  });

  it('one whose engine was closed is not kept', async () => {
    const { clock, engine, other, standStill } = stoodStill();
    await clock.run(engine.acquire('key', { ttl: 300 }));
    await clock.run(engine.close(0));
    await standStill();
    expect(await other.tryAcquire('key')).not.toBeNull();
  });
});
