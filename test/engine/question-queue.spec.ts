import { describe, expect, it } from 'vitest';
import { memoryOn } from '../../lib/backends/memory/index.js';
import { Bench, isSettled, type Process } from './support/bench.js';

const MINUTES = '5m';

/** A process on a server that the engine asks two questions at a time, and that takes a second for each attempt. */
function slowServer(options: { readonly attemptMs?: number; readonly releaseMs?: number } = {}) {
  const { attemptMs = 1_000, releaseMs = 0 } = options;
  const bench = new Bench();
  const process = bench.process({ server: { ...memoryOn(bench.table), atOnce: 2 }, callTimeout: 1_500 });
  let [onTheirWay, most] = [0, 0];
  process.wire.ask = async (question, send) => {
    const ms = question === 'attempt' ? attemptMs : question === 'release' ? releaseMs : 0;
    if (ms === 0) return send();
    most = Math.max(most, ++onTheirWay);
    await new Promise<void>((resolve) => process.clock.after(ms, resolve));
    onTheirWay--;
    return send();
  };
  return { bench, ...process, most: () => most };
}

const askedFor = ({ asked }: Pick<Process, 'asked'>): string => asked.map(({ question }) => question).join(' ');

describe('a backend that is asked only so much at once', () => {
  it('serves a burst in order, and the time limit of a question begins when it is sent', async () => {
    const { bench, engine, most, asked } = slowServer();
    const locks = Array.from({ length: 20 }, (_, i) => engine.acquire(`key ${i}`, { ttl: '1m', wait: MINUTES }));
    const order: number[] = [];
    for (const [index, lock] of locks.entries()) void lock.then(() => order.push(index));
    const all = await bench.clock.run(Promise.all(locks));
    expect(all.every(({ held }) => held)).toBe(true);
    expect(most()).toBe(2);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(asked.filter(({ question }) => question === 'attempt')).toHaveLength(20);
  });

  it('a lease counts from when its question was sent, not from when that was put in the queue', async () => {
    const { bench, engine } = slowServer();
    const locks = Array.from({ length: 20 }, (_, i) =>
      engine.acquire(`key ${i}`, { ttl: 5_000, renew: false, wait: MINUTES }),
    );
    const last = await bench.clock.run(Promise.all(locks).then((all) => all.at(-1)));
    expect(last?.remainingMs).toBeGreaterThan(3_500);
  });

  it('renews what is held although hundreds wait to be asked', async () => {
    const { bench, engine, events } = slowServer();
    const lock = await bench.clock.run(engine.acquire('held', { ttl: 6_000 }));
    const others = Array.from({ length: 300 }, (_, i) => engine.acquire(`key ${i}`, { wait: MINUTES }));
    await bench.clock.advance(60_000);
    expect(lock.held).toBe(true);
    expect(events.map(({ type }) => type)).not.toContain('renewal-failed');
    await bench.clock.run(Promise.all(others));
  });

  it('releases go ahead of attempts', async () => {
    const bench = slowServer({ releaseMs: 100 });
    const lock = await bench.bench.clock.run(bench.engine.acquire('held'));
    const others = Array.from({ length: 10 }, (_, i) => bench.engine.acquire(`key ${i}`, { wait: MINUTES }));
    const released = lock.release();
    expect(await bench.bench.clock.run(released)).toBe(true);
    expect(askedFor(bench)).toMatch(/^attempt attempt attempt release/);
    await bench.bench.clock.run(Promise.all(others));
  });

  it('what is given up in the queue is never asked, and nothing of it is taken back', async () => {
    const { bench, engine, asked } = slowServer();
    const controller = new AbortController();
    const first = [engine.acquire('a', { wait: MINUTES }), engine.acquire('b', { wait: MINUTES })];
    const given = engine.acquire('c', { wait: MINUTES, signal: controller.signal }).catch((error: unknown) => error);
    const short = engine.acquire('d', { wait: 400 }).catch((error: unknown) => error);
    const several = engine.acquire(['e', 'f'], { wait: MINUTES, signal: controller.signal }).catch((error) => error);
    controller.abort(new Error('the request is over'));
    await bench.clock.advance(500);
    expect(await isSettled(given)).toBe(true);
    expect(await given).toMatchObject({ message: 'the request is over' });
    expect(await several).toMatchObject({ message: 'the request is over' });
    expect(await short).toMatchObject({
      name: 'LockBackendError',
      message: expect.stringMatching(/server answered none of the questions ahead of it.*Check that the server runs/),
    });
    await bench.clock.run(Promise.all(first));
    await bench.clock.advance(60_000);
    expect(asked.filter(({ question }) => question !== 'renew').map(({ question }) => question)).toEqual([
      'attempt',
      'attempt',
    ]);
  });

  it('what was not asked in time, though the server answers, is told that there are too many', async () => {
    const { bench, engine } = slowServer();
    const first = Array.from({ length: 4 }, (_, i) => engine.acquire(`key ${i}`, { wait: MINUTES }));
    const last = engine.acquire('last', { wait: 1_900 }).catch((error: unknown) => error);
    await bench.clock.run(Promise.all(first));
    expect(await last).toMatchObject({
      name: 'LockBackendError',
      message: expect.stringMatching(
        /asks for more than the server answers: 2 questions went first\. .*Wait longer, or ask for fewer locks at once\.$/,
      ),
    });
  });

  it('one that stands in line and is not asked again in time was busy, and leaves the line', async () => {
    const { bench, engine } = slowServer({ attemptMs: 10 });
    const lock = await bench.clock.run(engine.acquire('key', { ttl: '1m' }));
    const waiting = engine.acquire('key', { wait: 5_000 }).catch((error: unknown) => error);
    await bench.clock.advance(100);
    expect(bench.table.inspect('key').waiting).toBe(1);
    await bench.clock.advance(6_000);
    expect(await waiting).toMatchObject({ name: 'LockTimeoutError' });
    expect(bench.table.inspect('key').waiting).toBe(0);
    expect(lock.held).toBe(true);
  });
});
