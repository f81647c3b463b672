import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { acquireIn, inLine, releaseIn } from './support/in-pod.js';
import { now } from './support/machine-clock.js';
import { type Pod, startPods } from './support/pod.js';

const ttl = 2_000;
const patient = { wait: '20s', ttl } as const;

describe('When a process dies or freezes on an etcd lock', () => {
  let server: EtcdServer;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd();
    engine = new LockEngine(etcd({ hosts: server.host }));
  });
  afterAll(async () => {
    await engine?.close(0);
    await server?.stop();
  });

  /** A holder and the waiters behind it, each a process of its own, in this order. */
  async function line(key: string, waiting: number) {
    const pods = await startPods(1 + waiting, { etcd: [server.host] });
    const [holder, ...waiters] = pods as unknown as [Pod, ...Pod[]];
    const held = await acquireIn(holder, key, { ttl });
    const turns = [];
    for (const waiter of waiters) {
      turns.push(acquireIn(waiter, key, patient));
      await inLine(engine, key, turns.length);
    }
    return { holder, held, waiters, turns, [Symbol.asyncDispose]: () => pods[Symbol.asyncDispose]() };
  }

  it('a killed holder costs the first waiter its lease and no more than a second', async () => {
    await using pods = await line('holder killed', 2);
    const killedAt = now();
    await pods.holder.kill();
    const first = await pods.turns[0]!;
    expect(first.at - killedAt).toBeLessThan(ttl + 1_000);
    expect(first.token).toBeGreaterThan(pods.held.token);
    const released = await releaseIn(pods.waiters[0]!, 'holder killed');
    expect((await pods.turns[1]!).at - released.at).toBeLessThan(1_000);
  });

  it('a killed waiter holds up nobody once its lease has ended, and whoever is behind it still waits', async () => {
    await using pods = await line('waiter killed', 2);
    await pods.waiters[0]!.kill();
    await inLine(engine, 'waiter killed', 1);
    expect((await engine.inspect('waiter killed')).holders).toHaveLength(1);
    const released = await releaseIn(pods.holder, 'waiter killed');
    expect((await pods.turns[1]!).at - released.at).toBeLessThan(1_000);
  });

  it('a frozen holder knows of its loss before it does anything, and takes nothing from its successor', async () => {
    const key = 'holder frozen';
    await using pods = await line(key, 1);
    // Looks at its lock as often as it can; what counts is the first look after time has jumped.
    const firstLook = pods.holder.run(async ({ kept, now, say }, key) => {
      const { signal } = kept[key] as { signal: AbortSignal };
      // Before it is heard of: the freeze may strike at once.
      let last = now();
      say('looking');
      for (;;) {
        const at = now();
        const aborted = signal.aborted;
        const held = kept[key].held as boolean;
        if (at - last > 1_000) return { held, aborted, reason: String(signal.reason) };
        last = at;
        await new Promise(setImmediate);
      }
    }, key);
    await pods.holder.hears('looking');
    pods.holder.freeze();
    // Long enough to be seen as a jump also where the lease was nearly over when it froze.
    await Promise.all([pods.turns[0], sleep(1_500)]);
    pods.holder.thaw();
    const look = await firstLook;
    expect(look).toMatchObject({ held: false, aborted: true });
    expect(look.reason).toMatch(/LockLostError/);
    expect((await releaseIn(pods.holder, key)).held).toBe(false);
    expect((await releaseIn(pods.waiters[0]!, key)).held).toBe(true);
  });

  it('a waiter frozen past its lease does not run on its stale grant, and stands in line again', async () => {
    const key = 'granted while frozen';
    await using pods = await line(key, 2);
    const [frozen, next] = pods.waiters as [Pod, Pod];
    frozen.freeze();
    await releaseIn(pods.holder, key);
    const nextTurn = await pods.turns[1]!;
    frozen.thaw();
    await inLine(engine, key, 1);
    expect(await next.run(({ kept }, key) => kept[key].held as boolean, key)).toBe(true);
    const end = await releaseIn(next, key);
    const late = await pods.turns[0]!;
    expect(late.at).toBeGreaterThan(end.at);
    expect(late.token).toBeGreaterThan(nextTurn.token);
  });
});
