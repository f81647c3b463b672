import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { protocol, RELEASES, type Script, TAKES_OVER } from '../../lib/backends/redis/protocol/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';
import { type Pods, startPods } from './support/pod.js';

/** The default of `counterTtl`, which the scripts are made for. */
const COUNTER_TTL_MS = 600_000;

interface Command {
  /** Seconds of the server's clock. */
  readonly at: number;
  readonly name: string;
  readonly args: readonly string[];
}

describe('On the wire, 64 waiters in four processes on one key of one Redis', () => {
  let server: RedisServer;
  let engine: LockEngine;
  let pods: Pods;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    engine = new LockEngine(redis({ url: server.url }));
    pods = await startPods(4, { url: server.url });
  });
  afterAll(async () => {
    await pods?.[Symbol.asyncDispose]();
    await engine?.close(0);
    await server?.stop();
  });

  /** Everything that clients sent meanwhile; what scripts do inside the server is not traffic. */
  async function monitored(work: (commands: readonly Command[]) => Promise<unknown>): Promise<Command[]> {
    const client = new Redis(server.url);
    const monitor = await client.monitor();
    const commands: Command[] = [];
    monitor.on('monitor', (at: string, [name = '', ...args]: string[], source: string) => {
      if (source !== 'lua') commands.push({ at: Number(at), name: name.toLowerCase(), args });
    });
    await work(commands);
    // The monitor's stream is in order, so what it has not shown before this was not sent before this.
    const seen = new Promise<void>((resolve) =>
      monitor.on('monitor', (_: string, args: string[]) => {
        if (args[1] === 'the end') resolve();
      }),
    );
    await client.echo('the end');
    await seen;
    monitor.disconnect();
    client.disconnect();
    return commands;
  }

  const scriptCalls = (commands: readonly Command[]) => commands.filter(({ name }) => name.startsWith('eval'));

  const scripts = protocol(COUNTER_TTL_MS);
  const runs = ({ sha, text }: Script, [first]: readonly string[]) => first === sha || first === text;

  /** Whose attempts a call of a script carries. */
  function attempting(args: readonly string[]): string[] {
    const rest = args.slice(2 + Number(args[1]));
    if (runs(scripts.attempt, args)) return rest.slice(0, 1);
    if (!runs(scripts.together, args)) return [];
    const isAttempt = (what = '') => !what.startsWith(RELEASES) && !what.startsWith(TAKES_OVER);
    return rest.filter((_, index) => index % 3 === 0 && isAttempt(rest[index + 2]));
  }

  /** The times, in seconds, at which each claim asked for its key. */
  function attempts(commands: readonly Command[]): number[][] {
    const byOwner = new Map<string, number[]>();
    for (const { at, args } of commands) {
      for (const owner of attempting(args)) byOwner.set(owner, [...(byOwner.get(owner) ?? []), at]);
    }
    return [...byOwner.values()];
  }

  it('those of one process stay together in line, so that an acquisition costs a fraction of a script call; each has one subscription', async () => {
    const perWorker = 64;
    const commands = await monitored(async () => {
      await Promise.all(
        pods.map((pod) =>
          pod.run(async ({ engine }, perWorker) => {
            const worker = async () => {
              for (let i = 0; i < perWorker; i++) await engine.withLock('busy', () => undefined, { wait: '30s' });
            };
            await Promise.all(Array.from({ length: 16 }, worker));
          }, perWorker),
        ),
      );
    });
    const acquisitions = 64 * perWorker;
    const perAcquisition = scriptCalls(commands).length / acquisitions;
    console.log(`${acquisitions} contended acquisitions: ${perAcquisition.toFixed(3)} script calls each`);
    expect(perAcquisition).toBeGreaterThan(0);
    // Two calls for sixteen in a row are 0.125; one by one it would be 2.
    expect(perAcquisition).toBeLessThanOrEqual(0.3);

    expect(commands.filter(({ name }) => name === 'subscribe')).toHaveLength(4);
    const others = commands.filter(({ name }) => !/^(eval|evalsha|subscribe|hello|info|client|ping|echo)$/.test(name));
    expect(others).toEqual([]);
  });

  it('who waits asks at most once a second, and most of them far less often', async () => {
    const seconds = 6;
    const lock = await engine.acquire('long');
    const turns = pods.map((pod) =>
      pod.run(async ({ engine }) => {
        const turn = () => engine.withLock('long', () => undefined, { wait: '30s' });
        await Promise.all(Array.from({ length: 16 }, turn));
      }),
    );
    await inLine(engine, 'long', 64);
    // Opening a subscription makes everybody look once, which is not what is watched here.
    const client = new Redis(server.url);
    const subscribed = async () =>
      String(await client.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
        .trim()
        .split('\n').length;
    await expect.poll(subscribed, { timeout: 5_000 }).toBe(4);
    client.disconnect();

    const commands = await monitored(() => new Promise((resolve) => setTimeout(resolve, seconds * 1_000)));
    await lock.release();
    await Promise.all(turns);

    const asked = attempts(commands);
    expect(asked).toHaveLength(64);
    const pauses = asked.flatMap((times) => times.slice(1).map((at, i) => at - times[i]!));
    console.log(
      `64 waiters for ${seconds} s: ${scriptCalls(commands).length} script calls, shortest pause of one ${Math.min(...pauses).toFixed(2)} s`,
    );
    // A timer of Node may fire a millisecond early by the server's clock.
    expect(Math.min(...pauses)).toBeGreaterThan(0.99);
    // Three near the head ask each second, the others every five; and the holder renews.
    expect(scriptCalls(commands).length).toBeLessThan(3 * (seconds + 1) + 61 * 2 + 4);
  });

  it('ten thousand waiters on ten thousand keys share a subscription, look together, and are all served', async () => {
    const keys = 10_000;
    const [holder, waiters] = [pods[0]!, pods[1]!];
    await holder.run(async ({ engine, kept }, keys) => {
      kept['many'] = [];
      for (let i = 0; i < keys; i++) kept['many'].push(engine.acquire(`many ${i}`, { ttl: '60s', wait: '60s' }));
      kept['many'] = await Promise.all(kept['many']);
    }, keys);
    const served = waiters.run(async ({ engine }, keys) => {
      const turns = Array.from({ length: keys }, async (_, i) => {
        const lock = await engine.acquire(`many ${i}`, { wait: '60s' });
        return lock.release();
      });
      return (await Promise.all(turns)).filter(Boolean).length;
    }, keys);
    for (let i = 0; i < keys; i += 999) await inLine(engine, `many ${i}`, 1);
    const looks = (commands: readonly Command[]) => commands.flatMap(({ args }) => attempting(args)).length;
    const commands = await monitored((commands) =>
      eventually('as many have looked again', async () => looks(commands) >= keys, { within: 20_000 }),
    );
    await holder.run(({ kept }) => Promise.all(kept['many'].map((lock: Lock) => lock.release())));
    expect(await served).toBe(keys);

    const [calls, asked] = [scriptCalls(commands).length, looks(commands)];
    console.log(`${keys} waiters on as many keys: ${asked} looks in ${calls} script calls`);
    // Sixteen go in one; one a look would be ten thousand. Beside them the holder renews.
    expect(calls).toBeLessThan(keys / 8);
    expect(commands.filter(({ name }) => name === 'subscribe')).toEqual([]);
  });
});
