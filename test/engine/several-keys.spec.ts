import { describe, expect, it } from 'vitest';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { LockBackendError, LockConfigurationError, LockTimeoutError } from '../../lib/lock/errors.js';
import { Bench, isSettled, silence } from './support/bench.js';

const TTL = 10_000;

/** Both ways to take several keys: in one question, and one by one where the server cannot. */
describe.each([
  { way: 'at once', atOnce: true },
  { way: 'one by one', atOnce: false },
])('several keys, $way', ({ atOnce }) => {
  function process(bench: Bench, options = {}) {
    const server = memoryOn(bench.table);
    const { attemptAll: _, ...oneByOne } = server;
    return bench.process({ server: atOnce ? server : oneByOne, ...options });
  }

  it('are all held under one handle, and one release frees all', async () => {
    const bench = new Bench();
    const { engine, asked } = process(bench);
    const lock = await engine.acquire(['b', 'a', 'b'], { ttl: TTL });
    expect(lock.keys).toEqual(['a', 'b']);
    expect(lock.key).toBe('a + b');
    expect([...lock.fencingTokens.keys()]).toEqual(['a', 'b']);
    expect(asked.map(({ question }) => question)).toEqual(atOnce ? ['attemptAll'] : ['attempt', 'attempt']);
    expect(await lock.release()).toBe(true);
    expect(bench.table.size).toBe(0);
  });

  it('have one wait for all, and when that is over nothing is held', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    await one.engine.acquire('a', { ttl: TTL });
    const b = await one.engine.acquire('b', { ttl: TTL });
    const failed = bench.clock.run(other.engine.acquire(['a', 'b', 'c'], { ttl: TTL, wait: 3_000 }));
    bench.clock.after(1_000, () => void one.engine.forceRelease('a'));
    await expect(failed).rejects.toThrow(LockTimeoutError);
    expect(bench.clock.now()).toBeGreaterThanOrEqual(3_000);
    expect(bench.clock.now()).toBeLessThan(3_050);
    expect(bench.isUntouched('a') && bench.isUntouched('c')).toBe(true);
    expect(b.held).toBe(true);
    expect(bench.table.inspect('b').waiting).toBe(0);
  });

  it('tried once, nothing is left of them when one is busy', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    const b = await one.engine.acquire('b', { ttl: TTL });
    expect(await bench.clock.run(other.engine.tryAcquire(['a', 'b'], { ttl: TTL }))).toBeNull();
    expect(bench.isUntouched('a')).toBe(true);
    expect(bench.holders('b')).toEqual([b.owner]);
  });

  it('one in use as another sort of lock is told, and nothing is left of the others', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    await one.engine.acquire('b', { ttl: TTL, limit: 5 });
    const failed = bench.clock.run(other.engine.acquire(['a', 'b'], { ttl: TTL }));
    await expect(failed).rejects.toThrow(LockConfigurationError);
    await expect(failed).rejects.toThrow(
      /asked for as a lock for one holder \(limit 1\), but is in use as a semaphore of 5/,
    );
    expect(bench.isUntouched('a')).toBe(true);
  });

  it('when the server falls silent in the middle, what was held is taken back once it answers again', async () => {
    const bench = new Bench();
    const { engine, wire } = process(bench);
    let attempts = 0;
    wire.ask = async (question, send) => {
      const isLast = question.startsWith('attempt') && ++attempts === (atOnce ? 1 : 2);
      if (isLast) wire.ask = silence;
      const answer = await send();
      return isLast ? silence() : answer;
    };
    const failed = bench.clock.run(engine.acquire(['a', 'b'], { ttl: TTL, wait: 0 }));
    await expect(failed).rejects.toThrow(LockBackendError);
    wire.heal();
    await bench.clock.advance(2_100);
    expect(bench.isUntouched('a') && bench.isUntouched('b')).toBe(true);
  });

  it('the loss of one is the loss of all, and the others are let go with the release', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    const lock = await one.engine.acquire(['a', 'b'], { ttl: TTL });
    await other.engine.forceRelease('a');
    expect(lock.signal.aborted).toBe(true);
    expect(bench.holders('b')).toHaveLength(1);
    expect(await lock.release()).toBe(false);
    expect(bench.table.size).toBe(0);
  });

  it('overlapping sets in any order never wait for each other in a circle', async () => {
    const bench = new Bench();
    const forks = ['a', 'b', 'c', 'd', 'e'];
    const dinners = forks.map(async (left, i) => {
      const { engine } = process(bench);
      const right = forks[(i + 1) % forks.length] as string;
      for (let round = 0; round < 10; round++) {
        const lock = await engine.acquire(round % 2 ? [left, right] : [right, left], { ttl: TTL, wait: Infinity });
        await new Promise<void>((resolve) => void bench.clock.after(50, resolve));
        await lock.release();
      }
    });
    await bench.clock.run(Promise.all(dinners), 10 * 60_000);
    expect(bench.table.size).toBe(0);
  });

  it('one that is taken away while the next is waited for is not believed to be held', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    const b = await one.engine.acquire('b', { ttl: TTL });
    const acquired = other.engine.acquire(['a', 'b'], { ttl: TTL, wait: Infinity });
    await bench.clock.advance(1_000);
    await one.engine.forceRelease('a');
    const a = await one.engine.acquire('a', { ttl: TTL });
    void b.release();
    await bench.clock.advance(10);
    expect(await isSettled(acquired)).toBe(false);
    void a.release();
    expect((await bench.clock.run(acquired)).held).toBe(true);
    expect(bench.holders('a')).toHaveLength(1);
  });

  it('a lease that ends while the next key is waited for makes it begin again, not end in half a lock', async () => {
    const bench = new Bench();
    const [one, other] = [process(bench), process(bench)];
    const b = await one.engine.acquire('b', { ttl: TTL });
    const acquired = other.engine.acquire(['a', 'b'], { ttl: TTL, wait: Infinity });
    await bench.clock.advance(1_000);
    other.clock.freeze();
    await bench.clock.advance(2 * TTL);
    void b.release();
    await bench.clock.advance(10);
    other.clock.thaw();
    const lock = await bench.clock.run(acquired);
    expect(lock.held).toBe(true);
    expect(bench.holders('a')).toHaveLength(1);
    expect(bench.holders('b')).toHaveLength(1);
  });
});
