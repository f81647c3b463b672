import { describe, expect, it } from 'vitest';
import { LockBackendError } from '../../lib/lock/errors.js';
import type { LockEvent } from '../../lib/lock/events.js';
import { Bench, silence } from './support/bench.js';

const TTL = 10_000;
const ENDS = ['acquired', 'skipped', 'timeout', 'failed'];

const typesOf = (events: readonly LockEvent[]): string[] => events.map(({ type }) => type);

describe('events', () => {
  it('every acquisition ends in exactly one of acquired, skipped, timeout and failed', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    await other.engine.acquire('busy', { ttl: '1h' });
    await other.engine.acquire('pool', { ttl: '1h', limit: 3 });
    const aborted = new AbortController();
    const calls: [end: string, call: () => Promise<unknown>][] = [
      ['acquired', () => one.engine.acquire('free', { ttl: TTL })],
      ['acquired', () => one.engine.acquire(['several', 'keys'], { ttl: TTL })],
      ['acquired', () => one.engine.tryAcquire('also free', { ttl: TTL })],
      ['timeout', () => one.engine.acquire('busy', { ttl: TTL, wait: 100 })],
      ['timeout', () => one.engine.acquire('busy', { ttl: TTL, wait: 0 })],
      ['skipped', () => one.engine.tryAcquire('busy', { ttl: TTL })],
      ['skipped', () => one.engine.tryAcquire(['another', 'busy'], { ttl: TTL })],
      ['failed', () => one.engine.acquire('pool', { ttl: TTL, limit: 2 })],
      [
        'failed',
        () => {
          bench.clock.after(50, () => aborted.abort());
          return one.engine.acquire('busy', { ttl: TTL, signal: aborted.signal });
        },
      ],
      [
        'failed',
        () => {
          one.wire.ask = silence;
          return one.engine.acquire('free again', { ttl: TTL, wait: 0 });
        },
      ],
    ];
    for (const [end, call] of calls) {
      one.events.length = 0;
      one.wire.heal();
      await bench.clock.run(Promise.allSettled([call()]));
      const ends = typesOf(one.events).filter((type) => ENDS.includes(type));
      expect(ends).toEqual([end]);
    }
  });

  it('tell the life of a lock in order', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process({ name: 'orders' }), bench.process()];
    const holder = await other.engine.acquire('key', { ttl: TTL });
    const waiting = one.engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1_500);
    void holder.release();
    const lock = await bench.clock.run(waiting);
    await bench.clock.advance(700);
    await lock.release();
    const names = { key: 'key', backend: 'orders', owner: lock.owner };
    expect(one.events).toEqual([
      { type: 'waiting', holder: holder.owner, ...names },
      {
        type: 'acquired',
        mode: 'exclusive',
        waitedMs: 1_500,
        fencingToken: lock.fencingToken,
        contended: true,
        ...names,
      },
      { type: 'released', heldMs: 700, ...names },
    ]);
  });

  it('a key is named without the prefix', async () => {
    const bench = new Bench();
    const { engine, events } = bench.process({ prefix: 'shop:' });
    await engine.acquire('key', { ttl: TTL });
    expect(bench.holders('shop:key')).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: 'acquired', key: 'key' });
  });

  it('waiting is told once, however often it is looked', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    await other.engine.acquire('key', { ttl: '1h' });
    const waiting = one.engine.acquire('key', { ttl: TTL, wait: 30_000 });
    await expect(bench.clock.run(waiting)).rejects.toThrow();
    expect(typesOf(one.events)).toEqual(['waiting', 'timeout']);
  });

  it('a renewal that fails is told with the time that is left, and a loss once', async () => {
    const bench = new Bench();
    const { engine, wire, events } = bench.process();
    await engine.acquire('key', { ttl: TTL });
    wire.ask = async () => {
      throw new Error('connection refused');
    };
    await bench.clock.advance(2 * TTL);
    const remaining = events.flatMap((event) => (event.type === 'renewal-failed' ? [event.remainingMs] : []));
    expect(remaining.length).toBeGreaterThan(3);
    expect(remaining).toEqual([...remaining].sort((one, other) => other - one));
    expect(typesOf(events).filter((type) => type === 'lost')).toHaveLength(1);
    expect(typesOf(events).at(-1)).toBe('lost');
  });

  it('a listener that fails is warned of and ends no lock, and one that was taken off hears no more', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    const stop = engine.listen(() => {
      throw new Error('the metrics are down');
    });
    const lock = await engine.acquire('key', { ttl: TTL });
    expect(lock.held).toBe(true);
    expect((await warned).message).toBe('the metrics are down');
    stop();
    await lock.release();
  });

  it('an error names the backend, what it could not do, and where to look', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process({ name: 'orders' });
    wire.ask = () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:6379'));
    const failed = engine.ping();
    await expect(failed).rejects.toThrow(LockBackendError);
    await expect(failed).rejects.toThrow(
      "The lock backend 'orders' (memory) could not be reached: connect ECONNREFUSED 10.0.0.7:6379. " +
        'Check that the server runs, and that its address, credentials and network allow this process in.',
    );
    await expect(engine.inspect('key')).rejects.toThrow("could not inspect 'key'");
    await expect(engine.forceRelease('key')).rejects.toThrow("could not force the release of 'key'");
  });
});
