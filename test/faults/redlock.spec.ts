import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { redlock, type RedlockBehaviour } from '../../lib/backends/redlock/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import type { Lock } from '../../lib/lock/lock.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

/** Five masters: the first three without any persistence, the others with a log. */
let servers: readonly RedisServer[] = [];
let admins: readonly Redis[] = [];
const engines: LockEngine[] = [];

beforeAll(async () => {
  const forgetful = ['--appendonly', 'no'];
  servers = await Promise.all(
    [0, 1, 2, 3, 4].map((index) => startRedis({ own: true, args: index < 3 ? forgetful : [] })),
  );
  admins = servers.map(({ port, host }) => new Redis(port, host).on('error', () => undefined));
});

afterEach(async () => {
  for (const server of servers) server.resume();
  await Promise.all(engines.splice(0).map((engine) => engine.close(0)));
  // Closed at once, an engine leaves to its lease what a server that is slow just now has not confirmed.
  await eventually('nothing is left', async () => (await keysLeft()).length === 0, { within: 8_000 });
  await Promise.all(admins.map((admin) => admin.flushall()));
});

afterAll(async () => {
  for (const admin of admins) admin.disconnect();
  await Promise.all(servers.map((server) => server.stop()));
});

function engine(options: RedlockBehaviour = {}, ttl = 4_000): LockEngine {
  const urls = servers.map(({ url }) => url);
  const made = new LockEngine(redlock({ urls, restartGuard: false, ...options }), { prefix: '', defaults: { ttl } });
  engines.push(made);
  return made;
}

/** What is held at these servers, at any of them unless told, by a lease that has not ended. */
async function keysLeft(...which: number[]): Promise<string[]> {
  const left = await Promise.all(
    admins
      .filter((_, index) => which.length === 0 || which.includes(index))
      .map(async (admin) => {
        const keys = await admin.keys('{*}');
        const until = await Promise.all(
          keys.map(async (key) => {
            const [owner, end] = await admin.hmget(key, 'o', 'e').catch(() => ['shared', 'Infinity']);
            return owner === null ? 0 : Number(end ?? 0);
          }),
        );
        // The servers are on this machine, and have its time.
        return keys.filter((_, index) => (until[index] ?? 0) > Date.now());
      }),
  );
  return left.flat();
}

const freeze = (...which: number[]): void => which.forEach((index) => servers[index]?.pause());
const thaw = (...which: number[]): void => which.forEach((index) => servers[index]?.resume());

describe('five masters', () => {
  it.each([
    [0, 1],
    [3, 4],
    [0, 4],
  ])('locks are had and handed over while the servers %i and %i are frozen', async (one, other) => {
    const [first, second] = [engine(), engine()];
    freeze(one, other);
    for (let round = 0; round < 5; round++) {
      const lock = await first.acquire('order');
      const next = second.acquire('order');
      expect(await second.tryAcquire('order')).toBeNull();
      expect(await lock.release()).toBe(true);
      const handed = await next;
      expect(handed.held).toBe(true);
      expect(await handed.release()).toBe(true);
    }
  });

  it('with three frozen an acquisition ends in its time, says why for each, and leaves nothing', async () => {
    const one = engine({}, 15_000);
    await (await one.acquire('order')).release();
    freeze(1, 2, 3);
    const order: unknown[] = [];
    const late = new Promise<void>((resolve) => setTimeout(() => resolve(void order.push('late')), 1_000 + 2 * 250));
    const error: unknown = await one.acquire('order', { wait: 1_000 }).catch((error: unknown) => error);
    order.push('ended');
    // What was heard of is taken back by now.
    expect(await keysLeft(0, 4)).toEqual([]);
    await late;
    expect(order).toEqual(['ended', 'late']);
    expect(error).toBeInstanceOf(LockBackendError);
    const { causes } = error as LockBackendError;
    expect(causes).toHaveLength(3);
    for (const [index, cause] of causes.entries()) expect(String(cause)).toContain(`:${servers[index + 1]?.port}: `);
    thaw(1, 2, 3);
    await eventually('nothing is left', async () => (await keysLeft()).length === 0, { within: 5_000 });
    await (await one.acquire('order')).release();
    // Servers that were frozen hear of the release as soon as they have answered again.
    await eventually('nothing is left', async () => (await keysLeft()).length === 0, { within: 5_000 });
  });

  it('a split of two and two with one frozen comes to an end, and one of them has it', async () => {
    const [first, second] = [engine(), engine()];
    // Votes of two that have died, which end by themselves.
    const split = async (index: number, owner: string): Promise<void> => {
      const admin = admins[index]!;
      const [seconds = '0'] = (await admin.time()).map(String);
      await admin.hset('{order}', { t: 1, o: owner, e: Number(seconds) * 1_000 + 1_500 });
      await admin.pexpire('{order}', 5_000);
    };
    await Promise.all([split(0, 'a:1/1'), split(1, 'a:1/2'), split(3, 'b:1/1'), split(4, 'b:1/2')]);
    freeze(2);
    const started = performance.now();
    expect(await first.tryAcquire('order')).toBeNull();
    expect(performance.now() - started).toBeLessThan(1_500);
    const winner = await Promise.race([first.acquire('order'), second.acquire('order')]);
    expect(winner.held).toBe(true);
    await winner.release();
  });

  it('contenders that come together neither keep each other out nor starve', async () => {
    const contenders = Array.from({ length: 5 }, () => engine());
    const turns = contenders.map(() => 0);
    let inside = 0;
    const end = performance.now() + 2_000;
    await Promise.all(
      contenders.map(async (one, index) => {
        while (performance.now() < end) {
          const lock = await one.acquire('order');
          expect(++inside).toBe(1);
          await new Promise((resolve) => setTimeout(resolve, 1));
          inside--;
          turns[index]!++;
          await lock.release();
        }
      }),
    );
    expect(Math.min(...turns)).toBeGreaterThan(Math.max(...turns) / 2);
    expect(Math.min(...turns)).toBeGreaterThan(10);
  });

  it('tells of the loss before the lease ends when three of five freeze', async () => {
    const lock = await engine().acquire('order', { ttl: 1_500 });
    const order: unknown[] = [];
    const lost = new Promise<void>((resolve) =>
      lock.signal.addEventListener('abort', () => resolve(void order.push(lock.signal.reason)), { once: true }),
    );
    freeze(0, 1, 2);
    // Never renewed after this. The votes were asked for earlier, so the servers' leases end before this timer.
    const ended = new Promise<void>((resolve) => setTimeout(() => resolve(void order.push('ended')), 1_500));
    await Promise.all([lost, ended]);
    expect(order).toEqual([expect.any(LockLostError), 'ended']);
    thaw(0, 1, 2);
  });

  it('a lock is renewed at each server by itself while two of them are frozen', async () => {
    const lock = await engine().acquire('order', { ttl: 600 });
    freeze(0, 3);
    await new Promise((resolve) => setTimeout(resolve, 1_800));
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe(true);
  });

  describe('a majority that was restarted empty', () => {
    /** What a second one gets while the first one's lease lasts. */
    async function attemptAfterRestart(restartGuard: '4s' | false): Promise<{ lock: Lock; attempt: unknown }> {
      const [holder, other] = [engine({ restartGuard }, 4_000), engine({ restartGuard }, 4_000)];
      // The servers have been up for longer than the guard by now, or keep their data.
      await eventually(
        'the servers take part',
        async () => {
          const lock = await holder.acquire('order', { wait: 0, ttl: 4_000 }).catch(() => undefined);
          await lock?.release();
          return lock !== undefined;
        },
        { within: 8_000 },
      );
      const lock = await holder.acquire('order', { ttl: 4_000, renew: false });
      // They forget their votes: a majority for somebody else, with the one among them that is asked first.
      await Promise.all([0, 1, 2].map(async (index) => servers[index]?.restart({ keepData: false })));
      await eventually(
        'all servers are reached again',
        async () => {
          const { nodes = [] } = await other.inspect('order');
          return nodes.length === 5 && nodes.every((node) => !('error' in node));
        },
        { within: 2_000 },
      );
      const attempt: unknown = await other.tryAcquire('order', { ttl: 4_000 }).catch((error: unknown) => error);
      return { lock, attempt };
    }

    it('takes no part for the guard, which keeps out a second holder', async () => {
      const { lock, attempt } = await attemptAfterRestart('4s');
      expect(lock.held).toBe(true);
      expect((attempt as Lock | null)?.held).not.toBe(true);
      await lock.release();
    });

    it('without the guard lets a second holder in: that is what it is for', async () => {
      const { lock, attempt } = await attemptAfterRestart(false);
      expect(lock.held).toBe(true);
      expect(attempt).toMatchObject({ held: true });
      await (attempt as Lock).release();
      await lock.release();
    });
  });

  it('a holder whose vote a server has forgotten gets it back', async () => {
    const one = engine();
    const lock: Lock = await one.acquire('order', { ttl: 900 });
    await admins[2]!.flushall();
    await eventually(
      'the server has it again',
      async () => {
        const { nodes = [] } = await one.inspect('order');
        return nodes.every((node) => !('error' in node) && node.holders.length === 1);
      },
      { within: 3_000 },
    );
    expect(lock.held).toBe(true);
    await lock.release();
  });

  it('inspect says what each server thinks, also of one that says nothing', async () => {
    const one = engine({ fencing: true });
    const lock = await one.acquire('order');
    freeze(4);
    const info = await one.inspect('order');
    expect(info.holders).toEqual([expect.objectContaining({ owner: lock.owner, fencingToken: lock.fencingToken })]);
    expect(info.nodes).toHaveLength(5);
    expect(info.nodes?.filter((node) => 'error' in node)).toEqual([
      {
        node: expect.stringContaining(`${servers[4]?.port}`) as string,
        error: expect.stringContaining('no answer') as string,
      },
    ]);
    await lock.release();
  });
});
