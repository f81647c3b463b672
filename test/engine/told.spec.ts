import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LockClosedError, LockLostError } from '../../lib/lock/errors.js';
import type { LockEvent, LockEventOf, LockEventType } from '../../lib/lock/events.js';
import type { LockInstrumentation, LockObserver } from '../../lib/lock/instrumentation.js';
import { LABELS } from '../../lib/lock/labels.js';
import { Bench, silence } from './support/bench.js';
import { noteWarnings } from './support/warnings.js';

const TTL = 10_000;

function ofType<Type extends LockEventType>(events: readonly LockEvent[], type: Type): LockEventOf<Type>[] {
  // Just filtered by it.
  return events.filter((event) => event.type === type) as LockEventOf<Type>[];
}

describe('what events say', () => {
  it('what a lock is for by `name`, and by what a decorator says; by hand nothing', async () => {
    const bench = new Bench();
    const { engine, events } = bench.process();
    await engine.acquire('order:1', { ttl: TTL, name: 'order:<id>' });
    const decorated = { ttl: TTL, [LABELS]: { name: 'a:<0>', method: 'Orders.place', skips: true } };
    await engine.withLock('a:1', () => undefined, Object.freeze(decorated));
    await engine.acquire('a:1', { ttl: TTL });
    await engine.acquire('a:1', { ...decorated, wait: 0 }).catch(() => undefined);
    expect(events.map(({ type, name, method }) => [type, name, method])).toEqual([
      ['acquired', 'order:<id>', undefined],
      ['acquired', 'a:<0>', 'Orders.place'],
      ['released', 'a:<0>', 'Orders.place'],
      ['acquired', undefined, undefined],
      ['skipped', 'a:<0>', 'Orders.place'],
    ]);
  });

  it('a name that is none is refused', async () => {
    const { engine } = new Bench().process();
    await expect(engine.acquire('key', { name: '' })).rejects.toThrow(/`name`/);
    await expect(engine.acquire('key', { name: 5 as unknown as string })).rejects.toThrow(/`name`/);
  });

  it('an unconfirmed release names the lock as well', async () => {
    const bench = new Bench();
    const { engine, events, wire } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL, name: 'orders' });
    wire.ask = silence;
    await bench.clock.run(lock.release());
    expect(ofType(events, 'release-unknown')).toMatchObject([{ name: 'orders', key: 'key' }]);
    wire.heal();
  });

  it('how a lock was lost, by a code that metrics can count, and the error says the same', async () => {
    const bench = new Bench();
    const { engine, events, wire, clock } = bench.process();
    const forced = await engine.acquire('forced', { ttl: TTL });
    bench.table.forceRelease('forced');
    expect(forced.signal.reason).toMatchObject({ reasonCode: 'forced' });
    const held = await engine.acquire('max-hold', { ttl: TTL, maxHold: 50 });
    await bench.clock.advance(60);
    expect(held.signal.reason).toMatchObject({ reasonCode: 'max-hold' });
    const taken = await engine.acquire('taken', { ttl: TTL });
    bench.table.victims.clear();
    bench.table.forceRelease('taken');
    await bench.clock.advance(TTL / 2);
    expect(taken.signal.reason).toMatchObject({ reasonCode: 'taken' });
    const expired = await engine.acquire('expired', { ttl: TTL });
    wire.ask = silence;
    await bench.clock.advance(TTL);
    expect(expired.signal.reason).toMatchObject({ reasonCode: 'expired' });
    wire.heal();
    await engine.acquire('shutdown', { ttl: TTL });
    await bench.clock.run(engine.close(10));
    void clock;
    const codes = ofType(events, 'lost').map(({ key, reasonCode }) => [key, reasonCode]);
    expect(codes).toEqual(['forced', 'max-hold', 'taken', 'expired'].map((code) => [code, code]));
    expect(new LockLostError('released around nested work').reasonCode).toBeUndefined();
  });

  it('why a call failed', async () => {
    const bench = new Bench();
    const { engine, events, wire } = bench.process();
    await engine.acquire('pool', { ttl: TTL, limit: 2 });
    await engine.acquire('busy', { ttl: TTL });
    const abort = new AbortController();
    const calls = [
      engine.acquire('pool', { ttl: TTL }),
      engine.acquire('busy', { ttl: TTL, signal: abort.signal }),
      engine.acquire('busy', { ttl: TTL }),
    ];
    const settled = Promise.allSettled(calls);
    await bench.clock.advance(10);
    abort.abort();
    wire.ask = () => Promise.reject(new Error('gone'));
    await bench.clock.run(engine.acquire('other', { wait: 0 }).catch(() => undefined));
    wire.heal();
    engine.drain();
    await expect(engine.acquire('busy')).rejects.toThrow(LockClosedError);
    await bench.clock.run(settled);
    expect(
      ofType(events, 'failed')
        .map(({ reasonCode }) => reasonCode)
        .sort(),
    ).toEqual(['aborted', 'backend', 'conflict', 'shutdown', 'shutdown']);
  });

  it('serialise, a token as digits', async () => {
    const bench = new Bench();
    const { engine, events } = bench.process();
    const lock = await engine.acquire('key', { ttl: TTL });
    const [event] = events;
    expect(JSON.parse(JSON.stringify(event))).toMatchObject({
      type: 'acquired',
      key: 'key',
      fencingToken: String(lock.fencingToken),
    });
  });

  it.each([{ fair: true }, { fair: false }])(
    'of a hand-over the end comes before the next beginning: %o',
    async (how) => {
      const bench = new Bench();
      const { engine, events } = bench.process();
      const first = await engine.acquire('key', { ttl: TTL, ...how });
      const waiting = [1, 2].map(() => engine.acquire('key', { ttl: TTL, ...how }));
      await bench.clock.advance(100);
      void first.release();
      for (const next of waiting) void (await bench.clock.run(next)).release();
      await bench.clock.advance(100);
      expect(events.filter(({ type }) => type !== 'waiting').map(({ type }) => type)).toEqual([
        ...['acquired', 'released', 'acquired', 'released', 'acquired', 'released'],
      ]);
    },
  );

  it('so do those of readers before a writer, and of a writer before readers', async () => {
    const bench = new Bench();
    const { engine, events } = bench.process();
    const readers = await Promise.all([1, 2].map(() => engine.acquire('key', { ttl: TTL, mode: 'shared' })));
    const writer = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1);
    const late = engine.acquire('key', { ttl: TTL, mode: 'shared' });
    await bench.clock.advance(1);
    for (const reader of readers) void reader.release();
    void (await bench.clock.run(writer)).release();
    void (await bench.clock.run(late)).release();
    await bench.clock.advance(1);
    expect(events.filter(({ type }) => type !== 'waiting').map(({ type }) => type)).toEqual([
      ...['acquired', 'acquired', 'released', 'released', 'acquired', 'released', 'acquired', 'released'],
    ]);
  });
});

describe('who listens', () => {
  it('to some types only hears no others', async () => {
    const { engine } = new Bench().process();
    const heard: string[] = [];
    const stop = engine.listen(({ type }) => heard.push(type), ['released']);
    await (await engine.acquire('key', { ttl: TTL })).release();
    stop();
    await (await engine.acquire('key', { ttl: TTL })).release();
    expect(heard).toEqual(['released']);
  });

  it('may be anybody in the process, by diagnostics_channel', async () => {
    const { engine } = new Bench().process({ name: 'told' });
    const heard: string[] = [];
    const hear = (event: unknown): void => void heard.push((event as LockEvent).type);
    subscribe('nestjs-distributed-lock:event', hear);
    onTestFinished(() => void unsubscribe('nestjs-distributed-lock:event', hear));
    await (await engine.acquire('key', { ttl: TTL })).release();
    expect(heard).toEqual(['acquired', 'released']);
  });
});

describe('instrumentation', () => {
  /** Notes what it is told. */
  function noting(label: string, notes: string[]): LockInstrumentation {
    return {
      onCall({ keys, name }): LockObserver {
        notes.push(`${label} call ${keys.join()} ${name ?? '-'}`);
        return {
          onEvent: ({ type }) => void notes.push(`${label} ${type}`),
          around(work) {
            notes.push(`${label} in`);
            work();
            notes.push(`${label} out`);
          },
        };
      },
    };
  }

  it('follows a call from its beginning to the end of the lock, and goes around the work', async () => {
    const notes: string[] = [];
    const { engine } = new Bench().process({ instrumentations: [noting('one', notes), noting('two', notes)] });
    const result = await engine.withLock('key', () => (notes.push('work'), 'result'), { ttl: TTL, name: 'n' });
    expect(result).toBe('result');
    expect(notes).toEqual([
      ...['one call key n', 'two call key n', 'one acquired', 'two acquired'],
      ...['one in', 'two in', 'work', 'two out', 'one out', 'one released', 'two released'],
    ]);
  });

  it('goes around work once, and not again where that enters the same lock', async () => {
    const notes: string[] = [];
    const { engine } = new Bench().process({ instrumentations: [noting('one', notes)] });
    await engine.withLock('key', () => engine.withLock('key', () => undefined), { ttl: TTL });
    expect(notes.filter((note) => note === 'one in')).toHaveLength(1);
  });

  it('hears how a call ends that gets no lock', async () => {
    const notes: string[] = [];
    const bench = new Bench();
    const { engine } = bench.process({ instrumentations: [noting('one', notes)] });
    await bench.process().engine.acquire('key', { ttl: TTL });
    await engine.tryAcquire('key');
    await bench.clock.run(engine.acquire('key', { wait: 10 }).catch(() => undefined));
    expect(notes).toEqual(['one call key -', 'one skipped', 'one call key -', 'one waiting', 'one timeout']);
  });

  it('that fails is warned of, and lock and work go on', async () => {
    const told = noteWarnings();
    const fail = (): never => {
      throw new Error('the tracer is down');
    };
    const failing: LockInstrumentation[] = [
      { onCall: fail },
      { onCall: () => ({ onEvent: fail, around: fail }) },
      {
        onCall: () => ({
          onEvent: () => undefined,
          around(work) {
            work();
            work();
          },
        }),
      },
    ];
    const { engine } = new Bench().process({ instrumentations: failing });
    let ran = 0;
    await engine.withLock('key', () => void ran++, { ttl: TTL });
    expect(ran).toBe(1);
    await expect(
      engine.withLock('key', () => Promise.reject(new Error('the work failed')), { ttl: TTL }),
    ).rejects.toThrow('the work failed');
    expect(await told()).not.toEqual([]);
  });
});
