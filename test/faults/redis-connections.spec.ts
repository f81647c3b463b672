import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';
import { type Pod, type Pods, startPods } from './support/pod.js';
import { rounds } from './support/rounds.js';

interface Section {
  readonly token: bigint;
  readonly enteredAt: number;
  readonly leftAt: number;
  readonly waitedMs: number;
}

describe('When connections to Redis are cut at the worst moment', () => {
  let server: RedisServer;
  let client: Redis;
  let pods: Pods;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    client = new Redis(server.url).on('error', () => undefined);
    pods = await startPods(4, { url: server.url, counterTtl: 0 });
    // Everybody has waited once, and so has a subscription to lose.
    const engine = new LockEngine(redis({ url: server.url, counterTtl: 0 }));
    const lock = await engine.acquire('first');
    const turns = pods.map((pod) => pod.run(({ engine }) => engine.withLock('first', () => undefined)));
    await inLine(engine, 'first', 4);
    await lock.release();
    await Promise.all(turns);
    await engine.close(0);
  });
  afterAll(async () => {
    await pods?.[Symbol.asyncDispose]();
    client?.disconnect();
    await server?.stop();
  });

  /**
   * In each of four processes one worker, so that every hand-over is a push to another one, or several, so that some stay inside. At
   * each release the connections of that type are cut; all subscriptions stand again by then, or the cut would hit nothing. Which of the two reaches the server
   * first is left to chance.
   */
  async function sections(type: 'pubsub' | 'normal', workers: number, releases: number): Promise<Section[]> {
    const inPod = (pod: Pod) =>
      pod.run(
        async ({ engine, redis, now, sleep }, { type, workers, share }) => {
          await redis.ping();
          const done: { token: bigint; enteredAt: number; leftAt: number; waitedMs: number }[] = [];
          // The test's own client is cut as well, and may then be a while.
          const command = (...words: [string, ...string[]]) =>
            Promise.race([redis.call(...words), sleep(200)]).catch(() => undefined);
          const subscribed = async () =>
            String(await command('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('id=').length - 1;
          const cut = () => command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
          const worker = async () => {
            for (let i = 0; i < share; i++) {
              const askedAt = now();
              const lock = await engine.acquire('cut', { wait: '60s' });
              const enteredAt = now();
              while ((await subscribed()) < 4 && now() < enteredAt + 500) await sleep(2);
              const leftAt = now();
              const order = [() => lock.release(), cut];
              if (Math.random() < 0.5) order.reverse();
              await Promise.all(order.map((step) => step()));
              done.push({ token: lock.fencingToken ?? 0n, enteredAt, leftAt, waitedMs: enteredAt - askedAt });
            }
          };
          await Promise.all(Array.from({ length: workers }, worker));
          return done;
        },
        { type, workers, share: Math.ceil(releases / 4 / workers) },
      );
    const perPod = await Promise.all(pods.map(inPod));
    return perPod.flat().sort((a, b) => (a.token < b.token ? -1 : 1));
  }

  /** How long after one left the next one entered. */
  const gaps = (inOrder: readonly Section[]) =>
    inOrder.slice(1).map(({ enteredAt }, i) => enteredAt - inOrder[i]!.leftAt);

  async function expectNothingLeft(): Promise<void> {
    await eventually('nothing is left on the server', async () => (await client.dbsize()) === 0);
  }

  it.each([
    ['the subscriptions', 'pubsub', 1, 100],
    ['all connections that carry commands', 'normal', 1, 40],
    ['all connections that carry commands, with several workers in each process', 'normal', 5, 60],
  ] as const)(
    'everybody still gets a turn, none later than 2 s: %s',
    async (_, type, workers, atLeast) => {
      const releases = atLeast * Math.min(rounds, 5);
      const inOrder = await sections(type, workers, releases);
      expect(inOrder.length).toBeGreaterThanOrEqual(releases);
      const between = gaps(inOrder);
      const sorted = [...between].sort((a, b) => a - b);
      const longestWait = Math.max(...inOrder.map(({ waitedMs }) => waitedMs));
      console.log(
        `${inOrder.length} releases, ${type} connections cut at each: the next entered after ` +
          `${sorted[Math.floor(sorted.length / 2)]!.toFixed(0)} ms (median), ${sorted.at(-1)!.toFixed(0)} ms (worst), waits at most ${longestWait.toFixed(0)} ms`,
      );
      expect(sorted[0]).toBeGreaterThanOrEqual(0);
      expect(sorted.at(-1)).toBeLessThan(2_000);
      // Nor does one process go on and on because nobody else can be reached just then.
      expect(longestWait).toBeLessThan(2_000 * workers);
      await expectNothingLeft();
    },
    120_000,
  );
});
