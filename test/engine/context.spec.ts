import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { memory } from '../../lib/backends/memory/index.js';
import { currentLock } from '../../lib/engine/holding/context.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError, LockLostError, LockTimeoutError } from '../../lib/lock/errors.js';
import { Bench, isSettled, silence } from './support/bench.js';

const TTL = 10_000;

describe('nested work that nobody awaits', () => {
  const after = (bench: Bench, ms: number) => new Promise<void>((resolve) => void bench.clock.after(ms, resolve));

  it('keeps the lock until it has ended, and its caller has its result before', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    let listener: Promise<void> | undefined;
    const order: string[] = [];
    const result = await one.engine.withLock('a', async () => {
      listener = one.engine.withLock('a', async (lock) => {
        await after(bench, 300);
        order.push(`listener ends, held ${lock.held}`);
      });
      return 'placed';
    });
    expect(result).toBe('placed');
    expect(bench.holders('a')).toHaveLength(1);
    const stranger = other.engine.withLock('a', async () => void order.push('stranger'));
    await bench.clock.run(Promise.all([listener, stranger]));
    expect(order).toEqual(['listener ends, held true', 'stranger']);
    expect(bench.isUntouched('a')).toBe(true);
  });

  it('keeps it too while it still stands in line behind a sibling', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const held: boolean[] = [];
    const work = async (lock: { readonly held: boolean }) => {
      await after(bench, 100);
      held.push(lock.held);
    };
    let siblings: Promise<unknown> | undefined;
    await engine.withLock('a', async () => {
      siblings = Promise.all([engine.withLock('a', work), engine.withLock('a', work), engine.withLock('a', work)]);
    });
    await bench.clock.run(siblings ?? Promise.resolve());
    expect(held).toEqual([true, true, true]);
    expect(bench.isUntouched('a')).toBe(true);
  });

  it('a sibling does not come in beside what an earlier one left running', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const order: string[] = [];
    let left: Promise<void> | undefined;
    await bench.clock.run(
      engine.withLock('a', async () => {
        await engine.withLock('a', async () => {
          left = engine.withLock('a', async () => {
            await after(bench, 100);
            order.push('left running');
          });
        });
        await engine.withLock('a', async () => void order.push('sibling'));
        await left;
      }),
    );
    expect(order).toEqual(['left running', 'sibling']);
  });

  it('several keys: each is let go when the last work under it has ended', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let left: Promise<void> | undefined;
    await engine.withLock('a', async () => {
      await engine.withLock(['a', 'b'], async () => {
        left = engine.withLock('b', () => after(bench, 100));
      });
      expect(bench.holders('b')).toHaveLength(1);
    });
    expect([bench.holders('a').length, bench.holders('b').length]).toEqual([1, 1]);
    await bench.clock.run(left ?? Promise.resolve());
    expect([bench.isUntouched('a'), bench.isUntouched('b')]).toEqual([true, true]);
  });

  it('one that fails or gives up its wait lets go as well', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let left: Promise<unknown> | undefined;
    await engine.withLock('a', async () => {
      const slow = engine.withLock('a', async () => {
        await after(bench, 500);
        throw new Error('mail server');
      });
      const impatient = engine.withLock('a', async () => undefined, { wait: 100 });
      left = Promise.allSettled([slow, impatient]);
    });
    const outcomes = await bench.clock.run(left ?? Promise.resolve());
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { message: 'mail server' } },
      { status: 'rejected', reason: { code: 'LOCK_TIMEOUT' } },
    ]);
    expect(bench.isUntouched('a')).toBe(true);
  });

  it('hears why when the lock is released by hand under it', async () => {
    const bench = new Bench();
    const { engine, events } = bench.process();
    let nested: Promise<unknown> | undefined;
    let reason: unknown;
    await engine.withLock('a', async (lock) => {
      await new Promise<void>((entered) => {
        nested = engine.withLock('a', async ({ signal }) => {
          signal.addEventListener('abort', () => (reason = signal.reason));
          entered();
          await after(bench, 100);
        });
      });
      await lock.release();
    });
    await expect(bench.clock.run(nested ?? Promise.resolve())).rejects.toThrow(
      /was released by hand while a nested call was still under it/,
    );
    expect(reason).toBeInstanceOf(LockLostError);
    expect(events.map(({ type }) => type)).not.toContain('lost');
  });

  it('hears of a loss after its caller has ended, and of what it was', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let nested: Promise<unknown> | undefined;
    await engine.withLock('a', async () => {
      nested = engine.withLock('a', () => after(bench, 100));
    });
    await engine.forceRelease('a');
    await expect(bench.clock.run(nested ?? Promise.resolve())).rejects.toThrow(/released by force/);
  });
});

describe('work under a lock', () => {
  it('sees it as the current one, by key and the innermost without, and only while it runs', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    expect(currentLock()).toBeUndefined();
    await engine.withLock('a', async (a) => {
      expect(currentLock()).toBe(a);
      await engine.withLock('b', async (b) => {
        expect(currentLock()).toBe(b);
        expect(currentLock('a')).toBe(a);
        expect(currentLock('c')).toBeUndefined();
      });
      expect(currentLock()).toBe(a);
    });
    expect(currentLock()).toBeUndefined();
  });

  it('enters the same key again at once, under the same lock and token, without asking the server', async () => {
    const bench = new Bench();
    const { engine, asked } = bench.process();
    await engine.withLock('a', async (outer) => {
      const { length } = asked;
      await engine.withLock('a', async (inner) => {
        expect(inner).toBe(outer);
        expect(inner.fencingToken).toBe(outer.fencingToken);
      });
      expect(outer.held).toBe(true);
      expect(asked).toHaveLength(length);
    });
    expect(bench.table.size).toBe(0);
  });

  it('keys that it does not hold yet are locked, those that it holds are not asked for', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.withLock('a', async (a) => {
      await engine.withLock(['a', 'b'], async () => {
        expect(bench.holders('a')).toEqual([a.owner]);
        expect(bench.holders('b')).toHaveLength(1);
      });
      expect(bench.holders('b')).toEqual([]);
      expect(a.held).toBe(true);
    });
  });

  it('nested siblings run one after another', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let inside = 0;
    await bench.clock.run(
      engine.withLock('a', () =>
        Promise.all(
          [30, 20, 10].map((ms) =>
            engine.withLock('a', async () => {
              expect(++inside).toBe(1);
              await new Promise<void>((resolve) => void bench.clock.after(ms, resolve));
              inside--;
            }),
          ),
        ),
      ),
    );
  });

  it('a nested sibling waits no longer than its `wait`, and says who is in its way', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await bench.clock.run(
      engine.withLock('a', async () => {
        const slow = engine.withLock('a', () => new Promise<void>((resolve) => void bench.clock.after(5_000, resolve)));
        const failed = engine.withLock('a', () => undefined, { wait: 100 });
        await expect(failed).rejects.toThrow(LockTimeoutError);
        await expect(failed).rejects.toThrow(
          /held by the work around this call, and other work nested in it did not end within 100 ms/,
        );
        await slow;
      }),
    );
  });

  it('has one `wait` for all that it enters and locks', async () => {
    const bench = new Bench();
    const [{ engine }, other] = [bench.process(), bench.process()];
    await bench.clock.run(other.engine.acquire('b'));
    await bench.clock.run(
      engine.withLock('a', async () => {
        const slow = engine.withLock('a', () => new Promise<void>((resolve) => void bench.clock.after(5_000, resolve)));
        const asked = bench.clock.now();
        const both = engine.withLock(['a', 'b'], () => undefined, { wait: '6s' });
        await expect(both).rejects.toThrow(LockTimeoutError);
        expect(bench.clock.now() - asked).toBeLessThan(6_500);
        await slow;
      }),
    );
  });

  it('of another async context waits like everybody else, and so does work that asked for `reentrant: false`', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let done: () => void = () => undefined;
    const holding = engine.withLock('a', () => new Promise<void>((resolve) => (done = resolve)), { ttl: TTL });
    await bench.clock.advance(1);
    const other = engine.withLock('a', () => 'in', { wait: Infinity, ttl: TTL });
    await bench.clock.advance(100);
    expect(await isSettled(other)).toBe(false);
    done();
    await bench.clock.run(holding);
    expect(await bench.clock.run(other)).toBe('in');
    const failed = engine.withLock('a', () =>
      engine.withLock('a', () => 'in', { reentrant: false, wait: 100, ttl: TTL }),
    );
    await expect(bench.clock.run(failed)).rejects.toThrow(LockTimeoutError);
  });

  it('a reader that asks for the writer is told at once instead of waiting for itself', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const upgrade = engine.withLock('a', () => engine.withLock('a', () => 'in', { wait: Infinity }), {
      mode: 'shared',
    });
    await expect(upgrade).rejects.toThrow(LockConfigurationError);
    await expect(upgrade).rejects.toThrow(/Two readers that both did so would wait for each other for ever/);
    const within = engine.withLock('b', () => engine.withLock('b', () => 'in', { mode: 'shared' }));
    expect(await within).toBe('in');
  });

  it('under a lock that was lost may not enter again', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const work = engine.withLock(
      'a',
      async () => {
        wire.ask = silence;
        await new Promise<void>((resolve) => void bench.clock.after(TTL, resolve));
        wire.heal();
        await engine.withLock('a', () => 'in');
      },
      { ttl: TTL },
    );
    await expect(bench.clock.run(work)).rejects.toThrow(LockLostError);
  });

  it('that outlives the lock does not pass for it', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    let later: Promise<unknown> = Promise.resolve();
    await engine.withLock('a', async (lock) => {
      later = new Promise<void>((resolve) => void bench.clock.after(1_000, resolve)).then(() => {
        expect(currentLock()).toBeUndefined();
        return engine.withLock('a', (own) => own === lock);
      });
    });
    expect(await bench.clock.run(later)).toBe(false);
  });

  it('keys of two engines have nothing to do with each other', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process({ prefix: 'other:' })];
    await one.engine.withLock('a', (outer) => other.engine.withLock('a', (inner) => expect(inner).not.toBe(outer)));
  });
});

describe('whoever is told of a loss', () => {
  it('is not inside of the work that caused it, and locks like anybody else', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const taken = await engine.acquire('taken', { ttl: TTL });
    let cleanUp: Promise<void> | undefined;
    const order: string[] = [];
    taken.signal.addEventListener('abort', () => {
      cleanUp = engine.withLock('key', () => void order.push('clean up'));
    });
    await engine.withLock('key', async () => {
      await engine.forceRelease('taken');
      await bench.clock.advance(10);
      order.push('work');
    });
    await bench.clock.run(Promise.resolve(cleanUp));
    expect(order).toEqual(['work', 'clean up']);
  });

  it('nor of the work that had armed the timer', async () => {
    const engine = new LockEngine(memory());
    const seen: unknown[] = [];
    engine.listen((event) => event.type === 'lost' && event.key === 'key' && seen.push(currentLock()));
    const lock = await engine.acquire('key', { ttl: 100, renew: false });
    await engine.withLock('other', async () => {
      await sleep(5);
      await engine.acquire('armed for', { ttl: 50 });
      lock.signal.addEventListener('abort', () => seen.push(currentLock()));
      await sleep(150);
    });
    expect(seen).toEqual([undefined, undefined]);
    await engine.close(0);
  });
});
