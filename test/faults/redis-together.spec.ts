import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

/** So many that they go out in several scripts for many. */
const MANY = 50;
const keys = Array.from({ length: MANY }, (_, index) => `key-${index}`);

describe('Locks that are asked for at once on Redis', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    client = new Redis(server.url);
  });
  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  /** Takes all of them at once, twice, so that the second time no script is new to the server. */
  async function takeAll(engine: LockEngine): Promise<PromiseSettledResult<bigint | undefined>[]> {
    const all = () =>
      Promise.allSettled(
        keys.map(async (key) => {
          await using lock = await engine.acquire(key, { wait: 0 });
          return lock.fencingToken;
        }),
      );
    await all();
    return all();
  }

  /** Each is called by its digest, or by its text the first time. */
  const scriptsRun = (stats: string): number =>
    [...stats.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);

  const failed = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
    outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected' ? [{ index, reason: String(outcome.reason) }] : [],
    );

  it('share a few scripts, and each has a token of its own and is let go', async () => {
    const engine = new LockEngine(redis({ client }));
    await takeAll(engine);
    await client.config('RESETSTAT');
    const outcomes = await takeAll(engine);
    const stats = await client.info('commandstats');
    const calls = scriptsRun(stats);
    console.log(`${MANY} locks, twice taken and let go: ${calls} scripts`);
    expect(failed(outcomes)).toEqual([]);
    expect(calls).toBeLessThan(MANY);
    for (const key of keys) expect(await engine.inspect(key)).toMatchObject({ held: false, waiting: 0 });
    await engine.close(0);
  });

  it('one whose key is something else fails, and no other', async () => {
    const engine = new LockEngine(redis({ client }), { prefix: 'mixed:' });
    await client.set('{mixed:key-7}', 'not a lock');
    expect(failed(await takeAll(engine))).toEqual([{ index: 7, reason: expect.stringContaining('WRONGTYPE') }]);
    expect(await client.get('{mixed:key-7}')).toBe('not a lock');
    await engine.close(0);
  });

  it('one that the user has no right to fails, and no other', async () => {
    const others = keys.filter((_, index) => index !== 7).map((key) => `~{own:${key}}*`);
    await client.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '+@all', 'allchannels', ...others);
    const limited = redis({ url: `redis://limited:secret@${server.host}:${server.port}` });
    const engine = new LockEngine(limited, { prefix: 'own:' });
    expect(failed(await takeAll(engine))).toEqual([{ index: 7, reason: expect.stringMatching(/NOPERM|permission/) }]);
    await engine.close(0);
  });

  it('a waiter that joins the line in the same script as the release gets its turn from it, and asks no more', async () => {
    const engine = new LockEngine(redis({ client }), { prefix: 'turn:' });
    // Somebody waits, so that the inbox stands and the next one joins the line with its first question.
    const [held, busy] = [await engine.acquire('held'), await engine.acquire('other')];
    const inLine = engine.acquire('other');
    await expect.poll(async () => (await engine.inspect('other')).waiting).toBe(1);
    await client.config('RESETSTAT');
    // On its way, so that what follows goes together.
    const underway = engine.tryAcquire('third');
    const next = engine.acquire('held');
    const letGo = held.release();
    const [lock] = await Promise.all([next, underway, letGo]);
    const stats = await client.info('commandstats');
    expect(lock.held).toBe(true);
    expect(scriptsRun(stats)).toBe(2);
    await Promise.all([lock.release(), busy.release(), (await underway)?.release()]);
    await (await inLine).release();
    await engine.close(0);
  });

  it('one who has been silent for too long is passed over, though it could be reached', async () => {
    const engine = new LockEngine(redis({ client }), { prefix: 'silent:' });
    const lock = await engine.acquire('key');
    // As a process leaves it behind that has stood still ever since.
    const listener = new Redis(server.url);
    const heard: string[] = [];
    listener.on('message', (_: string, message: string) => heard.push(message));
    await listener.subscribe('lock-inbox:ghost');
    await client.zadd('{silent:key}:line', 1, 'ghost:1');
    await client.hset('{silent:key}', { s: '1', 'w:ghost:1': `x 3000 ${Date.now() - 1}` });
    const next = engine.acquire('key', { wait: '5s' });
    await expect.poll(() => client.zcard('{silent:key}:line')).toBe(2);
    await lock.release();
    expect((await next).held).toBe(true);
    await (await next).release();
    // What was published before this has arrived.
    await client.publish('lock-inbox:ghost', 'the end');
    await expect.poll(() => heard).toEqual(['the end']);
    listener.disconnect();
    await engine.close(0);
  });
});
