import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { onAbort } from '../../lib/engine/time/abort.js';
import { Bench } from './support/bench.js';
import { noteWarnings } from './support/warnings.js';

const TTL = 10_000;

describe('abort', () => {
  it('a thousand waiters on one signal make one listener and no warning, and all come out at once', async () => {
    const warnings = noteWarnings();
    const bench = new Bench();
    const { engine, clock } = bench.process();
    await engine.acquire('key', { ttl: '1h' });
    const { signal, ...caller } = abortable();
    const waiting = Array.from({ length: 1_000 }, () => engine.acquire('key', { ttl: TTL, wait: Infinity, signal }));
    await bench.clock.advance(1_000);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    const reason = { why: 'the client went away' };
    const outcomes = Promise.allSettled(waiting);
    caller.abort(reason);
    await bench.clock.advance(10);
    for (const outcome of await outcomes) expect(outcome).toEqual({ status: 'rejected', reason });
    expect(bench.table.inspect('key').waiting).toBe(0);
    // The watch-dog of the one that is held.
    expect(clock.pending).toBe(1);
    expect(await warnings()).toEqual([]);
  });

  it("the caller's own reason comes out, whatever it is", async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    await engine.acquire('key', { ttl: '1h' });
    for (const reason of [new Error('mine'), 'text', 5, null, { status: 499 }]) {
      const controller = new AbortController();
      const waiting = engine.acquire('key', { ttl: TTL, wait: Infinity, signal: controller.signal });
      await bench.clock.advance(5);
      controller.abort(reason);
      await expect(bench.clock.run(waiting)).rejects.toBe(reason);
      await expect(engine.acquire('key', { ttl: TTL, signal: controller.signal })).rejects.toBe(reason);
    }
  });

  it('a grant that comes together with the abort is given back', async () => {
    const bench = new Bench();
    const [one, other] = [bench.process(), bench.process()];
    const lock = await one.engine.acquire('key', { ttl: TTL });
    const controller = new AbortController();
    const waiting = other.engine.acquire('key', { ttl: TTL, wait: Infinity, signal: controller.signal });
    await bench.clock.advance(10);
    const reason = new Error('too late');
    void lock.release();
    controller.abort(reason);
    await expect(bench.clock.run(waiting)).rejects.toBe(reason);
    expect(bench.isUntouched('key')).toBe(true);
  });

  it('a signal that aborts after the lock was acquired does nothing to it', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const controller = new AbortController();
    const lock = await engine.acquire('key', { ttl: TTL, signal: controller.signal });
    controller.abort();
    await bench.clock.advance(TTL);
    expect(lock.held).toBe(true);
  });

  it('nothing listens to it any more when nobody waits, for Node would keep an `AbortSignal.any` in memory', async () => {
    const bench = new Bench();
    const { engine } = bench.process();
    const signal = AbortSignal.any([new AbortController().signal]);
    await engine.acquire('key', { ttl: '1h', signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const waiting = Promise.allSettled([1_000, 2_000].map((wait) => engine.acquire('key', { ttl: TTL, wait, signal })));
    await bench.clock.advance(1_500);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await bench.clock.run(waiting);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('a listener that was taken off is not called, and a signal that lives long keeps nothing of it', () => {
    const controller = new AbortController();
    const run = vi.fn<() => void>();
    for (let i = 0; i < 100; i++) onAbort(controller.signal, run)();
    const kept = vi.fn<() => void>();
    onAbort(controller.signal, kept);
    controller.abort();
    expect(run).not.toHaveBeenCalled();
    expect(kept).toHaveBeenCalledTimes(1);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}
