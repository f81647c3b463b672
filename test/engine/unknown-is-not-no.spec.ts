import { describe, expect, it } from 'vitest';
import { LockBackendError, LockConfigurationError, LockTimeoutError } from '../../lib/lock/errors.js';
import type { AcquireOptions } from '../../lib/lock/lock.js';
import { Bench, holdRequests, isSettled, silence } from './support/bench.js';

type Changing = { -readonly [Name in keyof AcquireOptions]: AcquireOptions[Name] };

describe('an options object that is used again', () => {
  it('is read anew: a signal that has aborted since, and was replaced, stops nobody', async () => {
    const { engine } = new Bench().process();
    const first = new AbortController();
    const options: Changing = { wait: 1_000, signal: first.signal };
    await (await engine.acquire('key', options)).release();
    first.abort(new Error('the first request went away'));
    options.signal = new AbortController().signal;
    await expect(engine.acquire('key', options)).resolves.toMatchObject({ held: true });
  });

  it('is read anew: a signal and a wait that it got since count', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const options: Changing = { wait: 60_000 };
    await engine.acquire('key', options);
    const controller = new AbortController();
    options.signal = controller.signal;
    const waiting = engine.acquire('key', options);
    waiting.catch(() => undefined);
    await bench.clock.advance(100);
    controller.abort(new Error('gone'));
    await expect(bench.clock.run(waiting, 1_000)).rejects.toThrow('gone');
    delete options.signal;
    options.wait = 0;
    await expect(bench.clock.run(engine.acquire('key', options), 1_000)).rejects.toThrow(LockTimeoutError);
  });

  it('counts with what it inherits', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.acquire('key');
    const options = Object.create({ wait: 0 }) as AcquireOptions;
    await expect(bench.clock.run(engine.acquire('key', options), 1_000)).rejects.toThrow(LockTimeoutError);
  });

  it('changed while a nested call waits, it says what it said before', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.withLock('outer', async () => {
      const sibling = engine.withLock('outer', () => new Promise<void>((resolve) => bench.clock.after(1_000, resolve)));
      const options: Changing = { ttl: 5_000 };
      const nested = engine.withLock(
        ['inner', 'outer'],
        () => bench.table.inspect('inner').holders[0]?.remainingMs,
        options,
      );
      options.ttl = 60_000;
      await bench.clock.run(sibling);
      expect(await bench.clock.run(nested)).toBeLessThanOrEqual(5_000);
    });
  });
});

it('renewals of one lock that are asked for at once go one after another', async () => {
  const bench = new Bench();
  const { engine, wire, asked } = bench.process();
  const lock = await engine.acquire('key', { ttl: 3_000 });
  const renewals = holdRequests(wire, 'renew');
  const extended = Promise.all([lock.extend(20_000), lock.extend(3_000)]);
  await bench.clock.advance(1);
  expect(asked.filter(({ question }) => question === 'renew')).toHaveLength(1);
  renewals.letThrough();
  await bench.clock.run(extended, 1_000);
  expect(asked.filter(({ question }) => question === 'renew')).toHaveLength(2);
  expect(lock.remainingMs).toBeLessThanOrEqual(bench.table.inspect('key').holders[0]!.remainingMs);
});

it('a conflict after an unanswered question withdraws that question: it may arrive late', async () => {
  const bench = new Bench();
  const { engine, wire } = bench.process({ callTimeout: 200 });
  const other = bench.process();
  const lock = await other.engine.acquire('key', { limit: 2 });
  let first: (() => void) | undefined;
  wire.ask = async (question, send) => {
    if (question === 'attempt' && !first) await new Promise<void>((resolve) => (first = resolve));
    return send();
  };
  await expect(bench.clock.run(engine.acquire('key', { ttl: '1h' }))).rejects.toThrow(LockConfigurationError);
  await lock.release();
  first?.();
  await bench.clock.advance(1_000);
  expect(bench.isUntouched('key')).toBe(true);
});

describe('a lock whose downgrade was not answered', () => {
  it('counts as shared: readers may be in, so no exclusive work begins under it', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const other = bench.process();
    await engine.withLock('key', async (lock) => {
      wire.ask = async (question, send) => {
        const answer = await send();
        return question === 'downgrade' ? silence() : answer;
      };
      await expect(bench.clock.run(lock.downgrade(), 10_000)).rejects.toThrow(LockBackendError);
      await other.engine.acquire('key', { mode: 'shared' });
      expect(lock).toMatchObject({ mode: 'shared', held: true });
      await expect(engine.withLock('key', () => undefined, { mode: 'exclusive' })).rejects.toThrow(
        LockConfigurationError,
      );
    });
  });

  it('counts as shared from the question on', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await engine.acquire('key');
    const requests = holdRequests(wire, 'downgrade');
    const downgraded = lock.downgrade();
    await bench.clock.advance(1);
    expect(lock.mode).toBe('shared');
    requests.letThrough();
    await bench.clock.run(downgraded);
  });
});

describe('exclusive nested work is refused when, while it waited, the lock around it became shared', () => {
  it('by a sibling', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.withLock('key', async () => {
      const first = engine.withLock('key', async (lock) => {
        await lock.downgrade();
        await new Promise<void>((resolve) => bench.clock.after(30, resolve));
      });
      const second = engine.withLock('key', () => 'ran', { mode: 'exclusive' });
      second.catch(() => undefined);
      await bench.clock.run(first);
      await expect(bench.clock.run(second)).rejects.toThrow(LockConfigurationError);
    });
  });

  it('by the work around it, and lets go of what it waited for', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const blocker = await bench.process().engine.acquire('inner');
    await engine.withLock('outer', async (outer) => {
      const nested = engine.withLock(['outer', 'inner'], () => 'ran', { mode: 'exclusive' });
      nested.catch(() => undefined);
      await bench.clock.advance(10);
      expect(await isSettled(nested)).toBe(false);
      await outer.downgrade();
      await blocker.release();
      await expect(bench.clock.run(nested)).rejects.toThrow(LockConfigurationError);
      expect(bench.isUntouched('inner')).toBe(true);
    });
  });
});
