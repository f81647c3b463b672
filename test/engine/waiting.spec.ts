import { describe, expect, it } from 'vitest';
import type { KeyBackend, Waiter } from '../../lib/backends/backend.js';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { LockBackendError, LockTimeoutError } from '../../lib/lock/errors.js';
import { lineless } from '../simulation/lineless.js';
import { WitnessedTable } from '../simulation/witness.js';
import { Bench, holdAnswers, holdRequests, isSettled, silence } from './support/bench.js';
import { noteWarnings } from './support/warnings.js';

const TTL = 10_000;

describe('an attempt whose answer is late or lost', () => {
  it('is asked again, and the grant that the lost answer told of is ours', async () => {
    const bench = new Bench();
    const { engine, wire, asked } = bench.process();
    wire.ask = async (_, send) => {
      wire.heal();
      await send();
      throw new Error('connection reset');
    };
    const lock = await bench.clock.run(engine.acquire('key', { ttl: TTL }));
    expect(lock.held).toBe(true);
    expect(asked.map(({ question }) => question)).toEqual(['attempt', 'attempt']);
    expect(bench.holders('key')).toEqual([lock.owner]);
  });

  it('a late grant ends the pause after questions that failed', async () => {
    const bench = new Bench();
    const { engine, wire, asked } = bench.process({ callTimeout: 500 });
    const { letThrough } = holdAnswers(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: TTL, wait: '1m' });
    await bench.clock.advance(501);
    wire.ask = () => Promise.reject(new Error('connection reset'));
    // By now it pauses for hundreds of milliseconds.
    while (asked.length < 6) await bench.clock.advance(1);
    wire.heal();
    letThrough();
    await bench.clock.advance(2);
    expect(await isSettled(acquired)).toBe(true);
  });

  it('an answer may take a moment longer than a very short wait', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdAnswers(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: TTL, wait: 50 });
    await bench.clock.advance(300);
    letThrough();
    expect((await bench.clock.run(acquired)).held).toBe(true);
  });

  it('a late answer does not free a lock that a later question has won', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdAnswers(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(2_000);
    wire.heal();
    const lock = await bench.clock.run(acquired);
    letThrough();
    await bench.clock.advance(10);
    expect(lock.held).toBe(true);
    expect(bench.holders('key')).toEqual([lock.owner]);
  });

  it('a late answer does not free a lock that is still being asked for', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process({ callTimeout: 500 });
    const first = holdAnswers(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: 400, wait: '1m' });
    await bench.clock.advance(501);
    // The answer to the second question comes when its lease is over, so it is asked for once more.
    const second = holdAnswers(wire, 'attempt');
    await bench.clock.advance(430);
    const third = holdAnswers(wire, 'attempt');
    second.letThrough();
    await bench.clock.advance(10);
    // While the third is on its way, the answer to the first comes in.
    first.letThrough();
    await bench.clock.advance(10);
    third.letThrough();
    const lock = await bench.clock.run(acquired);
    expect(lock.held).toBe(true);
    expect(bench.holders('key')).toEqual([lock.owner]);
  });

  it('a question that arrives after its repetition was granted and released leaves no lock', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdRequests(wire, 'attempt');
    const acquired = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(2_000);
    wire.heal();
    const lock = await bench.clock.run(acquired);
    expect(await lock.release()).toBe(true);
    letThrough();
    await bench.clock.advance(10);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('an answer that is none is like no answer, and holds up nothing', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    wire.ask = async (question, send) => {
      const answer = await send();
      return question === 'attempt' ? undefined : answer;
    };
    await expect(bench.clock.run(engine.acquire('key', { ttl: TTL, wait: 500 }))).rejects.toThrow(LockBackendError);
    await expect(bench.clock.run(engine.tryAcquire('key', { ttl: TTL }))).rejects.toThrow(LockBackendError);
    expect(bench.isUntouched('key')).toBe(true);
    await bench.clock.run(engine.close(), 1_000);
  });

  it('a watch that cannot be stopped does not lose the grant', async () => {
    const warnings = noteWarnings();
    const bench = new Bench();
    const table = new WitnessedTable(
      () => bench.clock.now(),
      () => undefined,
      () => undefined,
    );
    const failure = new Error('the connection is closed');
    const watch = () => (): never => {
      throw failure;
    };
    const { engine } = bench.process({ server: { ...lineless(table, { watch: false }), watch } });
    const lock = await engine.acquire('key', { ttl: TTL });
    const waiting = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(100);
    void lock.release();
    expect((await bench.clock.run(waiting)).held).toBe(true);
    expect(await warnings()).toEqual([failure]);
  });

  it('a backend that cannot watch a key is asked again and again', async () => {
    const bench = new Bench();
    const table = new WitnessedTable(
      () => bench.clock.now(),
      () => undefined,
      () => undefined,
    );
    const watch = (): never => {
      throw new Error('too many watches');
    };
    const { engine } = bench.process({ server: { ...lineless(table, { watch: false }), watch } });
    const lock = await engine.acquire('key', { ttl: TTL });
    const waiting = engine.acquire('key', { ttl: TTL });
    await bench.clock.advance(1_000);
    void lock.release();
    expect((await bench.clock.run(waiting)).held).toBe(true);
  });

  it('given up, it is taken back before the error comes out', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    wire.ask = async (question, send) => {
      const answer = await send();
      return question === 'attempt' ? silence() : answer;
    };
    await expect(bench.clock.run(engine.acquire('key', { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('a grant that is made only after it was taken back is taken back once more, long before its lease ends', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdRequests(wire, 'attempt');
    await expect(bench.clock.run(engine.acquire('key', { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    letThrough();
    await bench.clock.advance(10);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('one that joins the line only after it was given up leaves it again, and is not handed the lock', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const lock = await bench.clock.run(bench.process().engine.acquire('key', { ttl: TTL }));
    const { letThrough } = holdRequests(wire, 'attempt');
    const givenUp = new AbortController();
    const failing = engine.acquire('key', { ttl: TTL, wait: '1m', signal: givenUp.signal });
    givenUp.abort(new Error('no longer'));
    await expect(bench.clock.run(failing)).rejects.toThrow('no longer');
    letThrough();
    await bench.clock.advance(10);
    expect(bench.table.inspect('key').waiting).toBe(0);
    await bench.clock.run(lock.release());
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('the same for several keys in one question', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    const { letThrough } = holdRequests(wire, 'attemptAll');
    await expect(bench.clock.run(engine.acquire(['a', 'b'], { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    letThrough();
    await bench.clock.advance(10);
    expect(bench.isUntouched('a') && bench.isUntouched('b')).toBe(true);
  });

  it('a taking back that fails is repeated until the server confirms it', async () => {
    const bench = new Bench();
    const { engine, wire, events } = bench.process();
    let failures = 3;
    wire.ask = async (question, send) => {
      if (question === 'release' && failures-- > 0) throw new Error('connection refused');
      const answer = await send();
      return question === 'attempt' ? silence() : answer;
    };
    await expect(bench.clock.run(engine.acquire('key', { ttl: TTL, wait: 0 }))).rejects.toThrow(LockBackendError);
    expect(events.filter(({ type }) => type === 'release-unknown')).toHaveLength(1);
    await bench.clock.advance(1_000);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('a server that answers nothing is asked again and again until the wait is over, and the error says so', async () => {
    const bench = new Bench();
    const { engine, wire, asked } = bench.process();
    wire.ask = silence;
    const failed = bench.clock.run(engine.acquire('order:1', { ttl: TTL, wait: '30s' }));
    await expect(failed).rejects.toThrow(LockBackendError);
    await expect(failed).rejects.toThrow(
      /^Could not lock 'order:1' on 'default' \(memory\): no answer within \d+ ms\. It was tried for \d+ ms, and nothing ran/,
    );
    const attempts = asked.filter(({ question }) => question === 'attempt');
    expect(attempts.length).toBeGreaterThanOrEqual(10);
    expect(attempts.length).toBeLessThan(20);
  });

  it('an answer that took longer than the lease is not believed', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process({ callTimeout: '1m' });
    const { letThrough } = holdAnswers(wire, 'attempt');
    const failing = engine.acquire('key', { ttl: 1_000, wait: 0 });
    await bench.clock.advance(1_000);
    letThrough();
    await expect(bench.clock.run(failing)).rejects.toThrow(/the answer came after the lease had ended/);
    expect(bench.isUntouched('key')).toBe(true);
  });
});

describe('standing in line', () => {
  /** A holder, and a waiter of another process that stands in line. */
  async function holderAndWaiter(options: { readonly ttl?: number; readonly wait?: number } = {}) {
    const bench = new Bench();
    const [one, other] = [bench.process({ name: 'one' }), bench.process({ name: 'other' })];
    const lock = await one.engine.acquire('key', { ttl: TTL });
    const acquired = other.engine.acquire('key', { ttl: TTL, wait: Infinity, ...options });
    await bench.clock.advance(10);
    return { bench, one, other, lock, acquired };
  }

  it('a push is enough: the successor has the lock without asking once more', async () => {
    const { bench, other, lock, acquired } = await holderAndWaiter();
    const asked = other.asked.length;
    void lock.release();
    const next = await bench.clock.run(acquired);
    expect(next.held).toBe(true);
    expect(other.asked).toHaveLength(asked);
    expect(bench.clock.now()).toBeLessThan(20);
  });

  it('a pushed lock is believed for its claim time, and its first renewal makes it a full lease', async () => {
    const { bench, lock, acquired } = await holderAndWaiter();
    void lock.release();
    const next = await bench.clock.run(acquired);
    expect(next.remainingMs).toBeLessThanOrEqual(3_000);
    expect(bench.table.inspect('key').holders[0]?.remainingMs).toBeLessThanOrEqual(3_000);
    await bench.clock.advance(1_100);
    expect(next.remainingMs).toBeGreaterThan(TTL * 0.9);
  });

  it('a grantee that froze before its turn holds up the next for its claim time, and does not believe in it when it wakes', async () => {
    const { bench, one, other, lock, acquired } = await holderAndWaiter();
    const third = one.engine.acquire('key', { ttl: TTL, wait: Infinity });
    await bench.clock.advance(10);
    other.clock.freeze();
    void lock.release();
    const next = await bench.clock.run(third);
    expect(bench.clock.now()).toBeLessThan(3_000 + 1_100);
    other.clock.thaw();
    await bench.clock.advance(500);
    expect(await isSettled(acquired)).toBe(false);
    expect(next.held).toBe(true);
    void next.release();
    expect((await bench.clock.run(acquired)).held).toBe(true);
  });

  it('a push that is lost costs one look, not the lease', async () => {
    const { bench, other, lock, acquired } = await holderAndWaiter();
    other.wire.push = () => undefined;
    void lock.release();
    const next = await bench.clock.run(acquired);
    expect(bench.clock.now()).toBeLessThan(1_100);
    expect(next.held).toBe(true);
  });

  it('a push of an earlier turn is not believed', async () => {
    const { bench, one, other, lock, acquired } = await holderAndWaiter({ ttl: 1_000 });
    const pushes: (() => void)[] = [];
    other.wire.push = (deliver) => void pushes.push(deliver);
    // Granted, never told, and over: it stands in line again, behind a new holder.
    const { letThrough } = holdRequests(other.wire, 'attempt');
    void lock.release();
    await bench.clock.advance(1_005);
    const next = await bench.clock.run(one.engine.acquire('key', { ttl: TTL }));
    letThrough();
    await bench.clock.advance(500);
    other.wire.heal();
    await bench.clock.advance(2_000);
    for (const push of pushes) push();
    await bench.clock.advance(100);
    expect(next.held).toBe(true);
    expect(await isSettled(acquired)).toBe(false);
  });

  it('told to look, it asks at once: so everything that waits is checked again after a reconnect', async () => {
    const bench = new Bench();
    const waiters: Waiter[] = [];
    const memory = memoryOn(bench.table);
    const server: KeyBackend = {
      ...memory,
      attempt(claim, waiter) {
        if (waiter) waiters.push(waiter);
        return memory.attempt(claim, waiter);
      },
    };
    const [one, other] = [bench.process(), bench.process({ server })];
    const lock = await one.engine.acquire('key', { ttl: TTL });
    const acquired = other.engine.acquire('key', { ttl: TTL, wait: Infinity });
    await bench.clock.advance(10);
    other.wire.push = () => undefined;
    await lock.release();
    other.wire.heal();
    waiters.at(-1)?.look();
    await bench.clock.advance(0);
    expect((await acquired).held).toBe(true);
  });

  it('a wait that ends leaves the line, and says how long it waited and for whom', async () => {
    const { bench, lock, acquired } = await holderAndWaiter({ wait: 5_000 });
    const failed = bench.clock.run(acquired);
    await expect(failed).rejects.toThrow(LockTimeoutError);
    await expect(failed).rejects.toMatchObject({ waitedMs: 5_000, holder: lock.owner, key: 'key', backend: 'other' });
    expect(bench.table.inspect('key').waiting).toBe(0);
  });

  it('a wait that ends without an answer says what the server said, not that its last question was cut short', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    wire.ask = async () => {
      await new Promise((resolve) => bench.clock.after(1_000, () => resolve(undefined)));
      throw new Error('only 0 of 1 replicas.');
    };
    const failed = bench.clock.run(engine.acquire('key', { ttl: TTL, wait: 3_000 }));
    await expect(failed).rejects.toThrow(LockBackendError);
    await expect(failed).rejects.toThrow(': only 0 of 1 replicas. It was tried for ');
  });

  it('a server that none of the addresses of its name leads to is told of with each', async () => {
    const bench = new Bench();
    const { engine, wire } = bench.process();
    wire.ask = async () => {
      throw new AggregateError([
        new Error('connect ECONNREFUSED ::1:6379'),
        new Error('connect ECONNREFUSED 127.0.0.1:6379'),
      ]);
    };
    await expect(bench.clock.run(engine.inspect('key'))).rejects.toThrow(
      "could not inspect 'key': connect ECONNREFUSED ::1:6379; connect ECONNREFUSED 127.0.0.1:6379. Check that",
    );
  });

  it('a wait longer than any timer of Node is only a wait', async () => {
    const { bench, lock, acquired } = await holderAndWaiter({ wait: 2 ** 33 });
    await bench.clock.advance(60_000);
    void lock.release();
    expect((await bench.clock.run(acquired)).held).toBe(true);
  });
});

describe('a server without a line', () => {
  function lineOf({ watch }: { readonly watch: boolean }) {
    const bench = new Bench();
    const fail = (violation: string): never => {
      throw new Error(violation);
    };
    const table = new WitnessedTable(
      () => bench.clock.now(),
      fail,
      () => undefined,
    );
    const server = lineless(table, { watch });
    return { bench, table, one: bench.process({ server }), other: bench.process({ server }) };
  }

  it('is asked slower and slower, a second apart at most', async () => {
    const { bench, one, other } = lineOf({ watch: false });
    const lock = await one.engine.acquire('key', { ttl: '1h' });
    const acquired = other.engine.acquire('key', { wait: Infinity });
    await bench.clock.advance(60_000);
    const times = other.asked.map(({ at }) => at);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(gaps[0]).toBeLessThanOrEqual(20);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1_000);
    expect(times.length).toBeLessThan(150);
    void lock.release();
    await bench.clock.advance(1_010);
    expect((await acquired).held).toBe(true);
  });

  it('with a watch the waiter comes as soon as the key is let go, and the watch ends with the wait', async () => {
    const { bench, table, one, other } = lineOf({ watch: true });
    const lock = await one.engine.acquire('key', { ttl: '1h' });
    const acquired = other.engine.acquire('key', { wait: Infinity });
    await bench.clock.advance(60_000);
    expect(table.freed.size).toBe(1);
    const now = bench.clock.now();
    void lock.release();
    expect((await bench.clock.run(acquired)).held).toBe(true);
    expect(bench.clock.now() - now).toBeLessThan(10);
    expect(table.freed.size).toBe(0);
  });

  it('a wake-up that lies costs a question and nothing else', async () => {
    const { bench, table, one, other } = lineOf({ watch: true });
    await one.engine.acquire('key', { ttl: '1h' });
    const acquired = other.engine.acquire('key', { wait: Infinity });
    await bench.clock.advance(10_000);
    for (let i = 0; i < 5; i++) {
      for (const wake of table.freed) wake('key');
      await bench.clock.advance(1);
    }
    expect(await isSettled(acquired)).toBe(false);
  });
});
