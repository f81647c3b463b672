import { describe, expect, it } from 'vitest';
import { MOST_UNCONFIRMED } from '../../lib/backends/backend.js';
import { LockLostError, LockTimeoutError } from '../../lib/lock/errors.js';
import { MOST_OUT_OF_TURN } from '../../lib/engine/leases/local-hand-over.js';
import type { AcquireOptions, Lock } from '../../lib/lock/lock.js';
import { Bench, holdAnswers, holdRequests, isSettled, type Process, silence } from './support/bench.js';

const TTL = 10_000;

/** Who waits for a key, from when it stands in line. */
interface InLine {
  readonly lock: Promise<Lock>;
}

async function standInLine(bench: Bench, { engine }: Process, options: AcquireOptions = {}): Promise<InLine> {
  const lock = engine.acquire('key', { ttl: TTL, wait: '5m', ...options });
  lock.catch(() => undefined);
  await bench.clock.advance(1);
  return { lock };
}

/** One that holds the key and others behind it in line, in this order, all of one process. */
async function queue(bench: Bench, process: Process, ...behind: readonly AcquireOptions[]) {
  const first = await bench.clock.run(process.engine.acquire('key', { ttl: TTL }));
  const waiting: InLine[] = [];
  for (const options of behind) waiting.push(await standInLine(bench, process, options));
  return { first, waiting: waiting.map(({ lock }) => lock) };
}

/** A lock that one has let go of and the next one has, while the call that tells the server is held back. */
async function handedOnUnheard() {
  const bench = new Bench();
  const process = bench.process();
  const { first, waiting } = await queue(bench, process, {});
  const { letThrough } = holdRequests(process.wire, 'takeOver');
  const released = first.release();
  return { bench, process, first, second: await waiting[0]!, released, letThrough };
}

/** The server forgets the place in line of that owner. */
const endPlace = ({ table }: Bench, owner: string): boolean =>
  table.release({ key: 'key', owner, mode: 'exclusive', limit: 1, ttl: TTL, claimTtl: TTL });

const asked = ({ asked }: Process, what: string): number => asked.filter(({ question }) => question === what).length;

describe('a lock that goes from one owner to the next inside of a process', () => {
  it('does so at once, and the server hears of it by one call', async () => {
    const { bench, process, first, second, released, letThrough } = await handedOnUnheard();
    expect(second.held).toBe(true);
    expect(first.held).toBe(false);
    expect(second.fencingToken).toBe(first.fencingToken! + 1n);
    expect(bench.holders('key')).toEqual([first.owner]);
    expect(await isSettled(released), 'what the server says of it is still to come').toBe(false);
    letThrough();
    expect(await bench.clock.run(released)).toBe(true);
    expect(bench.holders('key')).toEqual([second.owner]);
    expect([asked(process, 'takeOver'), asked(process, 'release')]).toEqual([1, 0]);
  });

  it('is believed until the lease of the one before ends, and from the first confirmation on for its own', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, { ttl: 3 * TTL });
    const { letThrough } = holdAnswers(process.wire, 'takeOver');
    const before = first.remainingMs;
    void first.release();
    const second = await waiting[0]!;
    expect(second.remainingMs).toBe(before);
    letThrough();
    await bench.clock.advance(1);
    expect(second.remainingMs).toBeGreaterThan(2.9 * TTL);
  });

  it('goes through many hands without the server, but not through more than the tokens allow', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, ...Array.from({ length: 80 }, () => ({})));
    const { letThrough } = holdAnswers(process.wire, 'takeOver');
    const tokens = [first.fencingToken!];
    const served = waiting.map(async (lock) => {
      const { fencingToken, release } = await lock.then((lock) => ({
        fencingToken: lock.fencingToken!,
        release: () => lock.release(),
      }));
      tokens.push(fencingToken);
      await release();
    });
    void first.release();
    await bench.clock.advance(1);
    expect(tokens).toHaveLength(MOST_UNCONFIRMED + 1);
    letThrough();
    process.wire.heal();
    await bench.clock.run(Promise.all(served));
    expect(tokens).toEqual([...tokens].sort((a, b) => Number(a - b)));
    expect(new Set(tokens).size).toBe(81);
    expect(bench.isUntouched('key')).toBe(true);
    expect(asked(process, 'release'), 'only the last').toBe(1);
  });

  it('overtakes nobody of another process', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first } = await queue(bench, process);
    const order: string[] = [];
    for (const [name, one] of Object.entries({ other, own: process })) {
      const { lock } = await standInLine(bench, one);
      void lock.then((lock) => {
        order.push(name);
        return lock.release();
      });
    }
    await bench.clock.run(first.release());
    await bench.clock.advance(10);
    expect(order).toEqual(['other', 'own']);
  });

  it('is given back when the server says that others have been overtaken', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first, waiting } = await queue(bench, process, {}, {});
    // Their places have ended, as those of processes that stood still: the last one first, so that none of them comes to be first.
    const waited = process.events.filter(({ type }) => type === 'waiting');
    for (const { owner } of waited.toReversed()) endPlace(bench, owner);
    const { lock: overtaken } = await standInLine(bench, other);
    await bench.clock.run(first.release());
    const second = await waiting[0]!;
    await bench.clock.run(second.release());
    expect((await bench.clock.run(overtaken)).held).toBe(true);
    expect([asked(process, 'takeOver'), asked(process, 'release')]).toEqual([1, 1]);
  });
});

describe('a takeover that the server does not answer', () => {
  it('is repeated until it is confirmed, with all whom the server may know instead', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, {}, {});
    process.wire.ask = (question, send) => (question === 'takeOver' ? Promise.reject(new Error('cut')) : send());
    expect(await bench.clock.run(first.release()), 'unknown is not no').toBe(true);
    const second = await waiting[0]!;
    void second.release();
    const { letThrough } = holdRequests(process.wire, 'takeOver');
    const third = await bench.clock.run(waiting[1]!);
    await bench.clock.advance(TTL / 4);
    letThrough();
    await bench.clock.advance(TTL);
    expect(third.held).toBe(true);
    expect(bench.holders('key')).toEqual([third.owner]);
    const unknown = process.events.filter(({ type }) => type === 'release-unknown').map(({ owner }) => owner);
    expect(unknown).toEqual([first.owner, second.owner]);
  });

  it('leaves nothing behind when the new owner lets go before', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first, waiting } = await queue(bench, process, {});
    process.wire.ask = (question, send) => (question === 'takeOver' ? silence() : send());
    void first.release();
    const second = await waiting[0]!;
    const { lock: next } = await standInLine(bench, other);
    expect(await bench.clock.run(second.release())).toBe(true);
    expect((await bench.clock.run(next)).held).toBe(true);
    expect(bench.clock.now(), 'long before any lease ends').toBeLessThan(TTL / 2);
  });

  it('leaves nothing behind when it arrives after that', async () => {
    const { bench, second, letThrough } = await handedOnUnheard();
    await bench.clock.run(second.release());
    letThrough();
    await bench.clock.advance(1);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('ends with the lease of the one before, and the new owner is told', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, {});
    process.wire.ask = silence;
    void first.release();
    const second = await waiting[0]!;
    await bench.clock.advance(TTL);
    expect(second.signal.reason).toBeInstanceOf(LockLostError);
  });
});

it('a takeover that the server refuses was no release, and is told as a loss: somebody else may have come between', async () => {
  const { bench, process, second, released, letThrough } = await handedOnUnheard();
  bench.table.forceRelease('key');
  bench.table.forceRelease('key');
  letThrough();
  expect(await bench.clock.run(released)).toBe(false);
  expect(second.held).toBe(false);
  expect(second.signal.reason).toBeInstanceOf(LockLostError);
  const lost = process.events.filter(({ type }) => type === 'lost');
  expect(lost.map(({ owner }) => owner)).toEqual([second.owner]);
});

it('who gives up at the moment it is given the lock hands it on', async () => {
  const bench = new Bench();
  const process = bench.process();
  const patience = new AbortController();
  const { first, waiting } = await queue(bench, process, { signal: patience.signal }, {});
  const released = first.release();
  patience.abort(new Error('too late'));
  await expect(waiting[0]!).rejects.toThrow('too late');
  await bench.clock.run(released);
  expect((await bench.clock.run(waiting[1]!)).held).toBe(true);
});

it('an old question of the one before, answered only now, does not have the server give away what its successor has', async () => {
  const bench = new Bench();
  const [process, other] = [bench.process({ callTimeout: 500 }), bench.process()];
  const { first, waiting } = await queue(bench, process, {}, {});
  // The second looks again, and that answer is a long time coming.
  const look = holdAnswers(process.wire, 'attempt');
  await bench.clock.advance(1_600);
  process.wire.heal();
  await bench.clock.advance(1_000);
  await bench.clock.run(first.release());
  const second = await waiting[0]!;
  // The place of the third has ended, so that the server would give the lock to somebody else.
  const { owner } = process.events.filter(({ type }) => type === 'waiting')[1]!;
  endPlace(bench, owner);
  const next = await standInLine(bench, other);
  const takeOver = holdRequests(process.wire, 'takeOver');
  void second.release();
  const third = await waiting[1]!;
  look.letThrough();
  // Until the server's silence makes the release an unknown one.
  await bench.clock.advance(600);
  expect([third.held, await isSettled(next.lock)]).toEqual([true, false]);
  takeOver.letThrough();
  await bench.clock.run(third.release());
  expect((await bench.clock.run(next.lock)).held).toBe(true);
});

describe('it goes by the server', () => {
  const plain = { first: {}, next: {} } satisfies Record<string, AcquireOptions>;
  it.each([
    ['the key is kept closed for a while', { ...plain, first: { minHold: 500 } }],
    [
      'the next one is not kept alive, so its lease counts from the server’s word',
      { ...plain, next: { renew: false } },
    ],
    ['the next one is a reader', { ...plain, next: { mode: 'shared' } }],
    ['readers hold it', { ...plain, first: { mode: 'shared' } }],
    ['permits are handed out', { first: { limit: 2 }, next: { limit: 2 }, crowd: 1 }],
    ['the next one asks for a shorter lease', { ...plain, first: { ttl: 2 * TTL } }],
    ['the lease of the one before is about to end', { ...plain, first: { renew: false, ttl: 1_000 } }],
  ] as const)('where %s', async (_, options) => {
    const bench = new Bench();
    const process = bench.process();
    const { engine } = process;
    const held = await bench.clock.run(engine.acquire('key', { ttl: TTL, ...options.first }));
    if ('crowd' in options) await bench.clock.run(engine.acquire('key', { ttl: TTL, ...options.first }));
    const { lock } = await standInLine(bench, process, options.next);
    await bench.clock.run(held.release());
    expect((await bench.clock.run(lock)).held).toBe(true);
    expect([asked(process, 'takeOver'), asked(process, 'release')]).toEqual([0, 1]);
  });

  it('where it was downgraded, or may have been', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, {});
    process.wire.ask = async (question, send) => {
      await send();
      if (question === 'downgrade') throw new Error('cut');
    };
    await expect(bench.clock.run(first.downgrade())).rejects.toThrow('cut');
    process.wire.heal();
    await bench.clock.run(first.release());
    expect((await bench.clock.run(waiting[0]!)).held).toBe(true);
    expect(asked(process, 'takeOver')).toBe(0);
  });

  it('where a renewal of the one before is on its way', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, {});
    const { letThrough } = holdAnswers(process.wire, 'renew');
    first.extend().catch(() => undefined);
    await bench.clock.advance(1);
    const released = first.release();
    letThrough();
    await bench.clock.run(released);
    expect((await bench.clock.run(waiting[0]!)).held).toBe(true);
    expect(asked(process, 'takeOver')).toBe(0);
  });

  it('where the next one has just given up, and then to the one behind it', async () => {
    const bench = new Bench();
    const process = bench.process();
    const { first, waiting } = await queue(bench, process, { wait: 100 }, {});
    await expect(bench.clock.run(waiting[0]!)).rejects.toBeInstanceOf(LockTimeoutError);
    await bench.clock.run(first.release());
    expect((await bench.clock.run(waiting[1]!)).held).toBe(true);
  });
});

describe('those who asked for `fair: false`', () => {
  const UNFAIR = { fair: false } as const;

  /** Who is served, in their order, each until the next turn of the event loop. */
  function noting(served: string[], name: string, lock: Promise<Lock>): Promise<unknown> {
    return lock.then((lock) => {
      served.push(name);
      return lock.release();
    });
  }

  it('go ahead of others, so often in a row and not more often', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first } = await queue(bench, process);
    const overtaken = await standInLine(bench, other);
    const served: string[] = [];
    const all = [noting(served, 'other', overtaken.lock)];
    for (let i = 0; i < MOST_OUT_OF_TURN + 8; i++)
      all.push(noting(served, 'own', (await standInLine(bench, process, UNFAIR)).lock));
    await bench.clock.run(first.release());
    await bench.clock.run(Promise.all(all));
    expect(served.indexOf('other')).toBe(MOST_OUT_OF_TURN);
    expect(served).toHaveLength(MOST_OUT_OF_TURN + 9);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('have tokens that grow, over all that a process gives itself and what the server gives then', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first } = await queue(bench, process);
    const overtaken = await standInLine(bench, other);
    const tokens = [first.fencingToken!];
    const note = async (lock: Promise<Lock>): Promise<void> => {
      const { fencingToken, release } = await lock.then((lock) => ({
        fencingToken: lock.fencingToken!,
        release: () => lock.release(),
      }));
      tokens.push(fencingToken);
      await release();
    };
    const all = [note(overtaken.lock)];
    for (let i = 0; i < 5; i++) all.push(note((await standInLine(bench, process, UNFAIR)).lock));
    await bench.clock.run(first.release());
    await bench.clock.run(Promise.all(all));
    expect(tokens).toEqual([...tokens].sort((a, b) => Number(a - b)));
    expect(new Set(tokens).size).toBe(7);
  });

  it('do not take along who stands directly behind them and wants to be served in turn', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first } = await queue(bench, process);
    const served: string[] = [];
    const all = [noting(served, 'other', (await standInLine(bench, other)).lock)];
    all.push(noting(served, 'unfair', (await standInLine(bench, process, UNFAIR)).lock));
    all.push(noting(served, 'fair', (await standInLine(bench, process)).lock));
    // Before the server says that others have been overtaken.
    const { letThrough } = holdRequests(process.wire, 'takeOver');
    void first.release();
    await bench.clock.advance(10);
    letThrough();
    await bench.clock.run(Promise.all(all));
    expect(served).toEqual(['unfair', 'other', 'fair']);
  });

  it('leave nothing behind when they give up', async () => {
    const bench = new Bench();
    const [process, other] = [bench.process(), bench.process()];
    const { first } = await queue(bench, process);
    const next = await standInLine(bench, other);
    const { lock: gaveUp } = await standInLine(bench, process, { ...UNFAIR, wait: 100 });
    await expect(bench.clock.run(gaveUp)).rejects.toBeInstanceOf(LockTimeoutError);
    await bench.clock.run(first.release());
    await bench.clock.run((await bench.clock.run(next.lock)).release());
    expect(bench.isUntouched('key')).toBe(true);
  });
});

it('one lost call does not cost the lock, however much longer the lease of the new owner is to be', async () => {
  const bench = new Bench();
  const process = bench.process();
  const held = await bench.clock.run(process.engine.acquire('key', { ttl: 3_000 }));
  const { lock } = await standInLine(bench, process, { ttl: '10m' });
  await bench.clock.advance(900);
  process.wire.ask = (question, send) => {
    if (question !== 'takeOver') return send();
    process.wire.heal();
    return Promise.reject(new Error('cut'));
  };
  void held.release();
  const next = await lock;
  await bench.clock.advance(3_000);
  expect(next.held).toBe(true);
  expect(bench.holders('key')).toEqual([next.owner]);
});

it.each(['the call that says whose it is', 'its answer'])('work that lost %s may downgrade its lock', async (lost) => {
  const bench = new Bench();
  const process = bench.process();
  const { first, waiting } = await queue(bench, process, {});
  process.wire.ask = async (question, send) => {
    if (question === 'takeOver') {
      process.wire.heal();
      if (lost === 'its answer') await send();
      throw new Error('cut');
    }
    return send();
  };
  void first.release();
  const second = await waiting[0]!;
  await bench.clock.run(second.downgrade());
  await bench.clock.advance(TTL);
  expect([second.mode, second.held]).toEqual(['shared', true]);
  expect(bench.holders('key')).toEqual([second.owner]);
});

it('a late question for one of several keys is taken back, though another of them has gone from hand to hand', async () => {
  const bench = new Bench();
  const [process, other] = [bench.process({ callTimeout: 500 }), bench.process()];
  const [a, b] = [await bench.clock.run(other.engine.acquire('a')), await bench.clock.run(other.engine.acquire('b'))];
  const both = process.engine.acquire(['a', 'b'], { ttl: TTL, wait: '5m' });
  await bench.clock.advance(1);
  // The next look at `a` is long on its way.
  const look = holdRequests(process.wire, 'attempt');
  await bench.clock.advance(1_100);
  process.wire.heal();
  await bench.clock.advance(1_000);
  await bench.clock.run(Promise.all([a.release(), b.release()]));
  const lock = await bench.clock.run(both);
  const successor = process.engine.acquire('b', { ttl: TTL, wait: '5m' });
  await bench.clock.advance(1);
  process.wire.ask = (question, send) => (question === 'takeOver' ? silence() : send());
  await bench.clock.run(lock.release());
  expect((await bench.clock.run(successor)).held).toBe(true);
  look.letThrough();
  await bench.clock.advance(10);
  expect(bench.isUntouched('a')).toBe(true);
});

it('work under a lock that the server has not confirmed yet may downgrade it', async () => {
  const { bench, second, letThrough } = await handedOnUnheard();
  const downgraded = second.downgrade();
  await bench.clock.advance(1);
  letThrough();
  await bench.clock.run(downgraded);
  expect(second.mode).toBe('shared');
  expect(second.held).toBe(true);
});
