import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { acquireIn, inLine, releaseIn, type Taken } from './support/in-pod.js';
import { now } from './support/machine-clock.js';
import { type Pod, startPods } from './support/pod.js';

/** The lease of a pushed grant until its first renewal: `CLAIM_TTL_MS` in lib/engine/options/options.ts. */
const claimTime = 3_000;
const patient = { wait: '20s' } as const;

function figure(what: string, milliseconds: number): void {
  console.log(`${what}: the next one ran after ${milliseconds.toFixed(0)} ms`);
}

describe('When a process dies or freezes on a Redis lock', { timeout: 60_000 }, () => {
  let server: RedisServer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startRedis();
    engine = new LockEngine(redis({ url: server.url }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await server?.stop();
  });

  /** A holder and the waiters behind it, each a process of its own, in this order; the first may have its own way to wait. */
  async function line<First = Taken>(
    key: string,
    waiting: number,
    ttl = 15_000,
    first: (pod: Pod) => Promise<First> = (pod) => acquireIn(pod, key, patient) as Promise<First>,
  ) {
    const pods = await startPods(1 + waiting, { url: server.url });
    const [holder, ...waiters] = pods as unknown as [Pod, ...Pod[]];
    const held = await acquireIn(holder, key, { ttl });
    const firstTurn = first(waiters[0]!);
    firstTurn.catch(() => undefined);
    await inLine(engine, key, 1);
    const turns: [Promise<First>, ...Promise<Taken>[]] = [firstTurn];
    for (const waiter of waiters.slice(1)) {
      turns.push(acquireIn(waiter, key, patient));
      await inLine(engine, key, turns.length);
    }
    return { holder, held, waiters, turns, [Symbol.asyncDispose]: () => pods[Symbol.asyncDispose]() };
  }

  it.concurrent('a killed holder costs the first waiter its lease and no more than a second', async () => {
    const ttl = 2_000;
    await using pods = await line('holder killed', 2, ttl);
    const killedAt = now();
    await pods.holder.kill();
    const first = await pods.turns[0];
    expect(first.at - killedAt).toBeLessThan(ttl + 1_000);
    figure(`holder killed, with a lease of ${ttl} ms`, first.at - killedAt);
    expect(first.token).toBeGreaterThan(pods.held.token);
    // And the line goes on as if nothing had been.
    const released = await releaseIn(pods.waiters[0]!, 'holder killed');
    const second = await pods.turns[1]!;
    expect(second.at - released.at).toBeLessThan(1_000);
    expect(second.token).toBeGreaterThan(first.token);
  });

  it.concurrent('a killed waiter costs the next one less than a second', async () => {
    await using pods = await line('waiter killed', 3);
    await pods.waiters[0]!.kill();
    const released = await releaseIn(pods.holder, 'waiter killed');
    const next = await pods.turns[1]!;
    expect(next.at - released.at).toBeLessThan(1_000);
    figure('waiter killed', next.at - released.at);
    const again = await releaseIn(pods.waiters[1]!, 'waiter killed');
    expect((await pods.turns[2]!).at - again.at).toBeLessThan(1_000);
  });

  it.concurrent('a grantee killed the moment it got the lock costs the next one the claim time at most', async () => {
    const key = 'grantee killed';
    await using pods = await line(key, 2, undefined, (pod) =>
      pod.run(async ({ engine }, key) => {
        await engine.acquire(key, { wait: '20s' });
        process.kill(process.pid, 'SIGKILL');
      }, key),
    );
    const released = await releaseIn(pods.holder, key);
    await expect(pods.turns[0]).rejects.toThrow(/SIGKILL/);
    const next = await pods.turns[1]!;
    expect(next.at - released.at).toBeLessThan(claimTime + 1_000);
    figure('grantee killed', next.at - released.at);
  });

  it.concurrent('a grantee frozen in its section costs the next one the claim time, and knows of its loss before it does anything', async () => {
    const key = 'grantee frozen';
    await using pods = await line(key, 2, undefined, (pod) =>
      pod.run(async ({ engine, kept }, key) => {
        const lock = (kept[key] = await engine.acquire(key, { wait: '20s' }));
        const { signal } = lock;
        const before = [lock.held, signal.aborted];
        // It freezes itself, so the next line is the first that runs when it wakes.
        process.kill(process.pid, 'SIGSTOP');
        const after = [lock.held, signal.aborted];
        return { before, after, remainingMs: lock.remainingMs, reason: String(signal.reason) };
      }, key),
    );
    const [frozen, next] = pods.waiters as [Pod, Pod];
    const released = await releaseIn(pods.holder, key);

    const turn = await pods.turns[1]!;
    expect(turn.at - released.at).toBeLessThan(claimTime + 1_000);
    figure('grantee frozen', turn.at - released.at);
    frozen.thaw();
    const woken = await pods.turns[0];
    expect(woken).toMatchObject({ before: [true, false], after: [false, true], remainingMs: 0 });
    expect(woken.reason).toMatch(/LockLostError/);
    // Nor does the one that was frozen take anything from its successor.
    expect((await releaseIn(frozen, key)).held).toBe(false);
    expect((await releaseIn(next, key)).held).toBe(true);
  });

  it.concurrent('a waiter frozen before it was granted costs the next one the claim time, and does not run on its stale grant', async () => {
    const key = 'granted while frozen';
    await using pods = await line(key, 2);
    const [frozen, next] = pods.waiters as [Pod, Pod];
    frozen.freeze();
    const released = await releaseIn(pods.holder, key);

    const nextTurn = await pods.turns[1]!;
    expect(nextTurn.at - released.at).toBeGreaterThan(claimTime / 2);
    expect(nextTurn.at - released.at).toBeLessThan(claimTime + 1_000);
    figure('waiter frozen', nextTurn.at - released.at);
    frozen.thaw();
    // It finds its grant in the mailbox, out of date, and stands in line again.
    await inLine(engine, key, 1);
    expect(await next.run(({ kept }, key) => kept[key].held as boolean, key)).toBe(true);
    const end = await releaseIn(next, key);
    const late = await pods.turns[0];
    expect(late.at).toBeGreaterThan(end.at);
    expect(late.token).toBeGreaterThan(nextTurn.token);
  });

  it.concurrent('a waiter frozen for less than the claim time still gets its turn first', async () => {
    const key = 'short freeze';
    await using pods = await line(key, 2);
    const [frozen] = pods.waiters as [Pod];
    frozen.freeze();
    const released = await releaseIn(pods.holder, key);
    // Half of the claim time: the grant waits for it on the socket.
    await new Promise((resolve) => setTimeout(resolve, claimTime / 2));
    frozen.thaw();
    const first = await pods.turns[0];
    expect(first.at - released.at).toBeLessThan(claimTime);
    expect(await frozen.run(({ kept }, key) => kept[key].held as boolean, key)).toBe(true);
    const end = await releaseIn(frozen, key);
    expect(end.held).toBe(true);
    const second = await pods.turns[1]!;
    expect(second.at).toBeGreaterThan(end.at);
    expect(second.token).toBeGreaterThan(first.token);
  });
});
