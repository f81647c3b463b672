import { rmSync } from 'node:fs';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Attempt, Claim, KeyBackend } from '../../lib/backends/backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { wordOf } from '../../lib/backends/redis/refusals.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { eventually } from '../servers/eventually.js';
import { startRedisProcess } from '../servers/redis.js';
import { inLine } from './support/in-pod.js';

type Server = Awaited<ReturnType<typeof startRedisProcess>>;

interface Refusal {
  /** What the server's error begins with. */
  readonly word: string;
  readonly begin: (admin: Redis, server: Server) => Promise<unknown>;
  readonly end: (admin: Redis) => Promise<unknown>;
  /** A server without memory has none for new locks only. */
  readonly lettingOldOnesBe?: true;
}

const refusals: readonly Refusal[] = [
  {
    word: 'OOM',
    begin: (admin) => admin.config('SET', 'maxmemory', '1mb'),
    end: (admin) => admin.config('SET', 'maxmemory', '0'),
    lettingOldOnesBe: true,
  },
  {
    word: 'NOREPLICAS',
    begin: (admin) => admin.config('SET', 'min-replicas-to-write', '1'),
    end: (admin) => admin.config('SET', 'min-replicas-to-write', '0'),
  },
  {
    word: 'READONLY',
    begin: (admin) => admin.replicaof('127.0.0.1', 1),
    end: (admin) => admin.replicaof('NO', 'ONE'),
  },
  {
    // A snapshot could not be written.
    word: 'MISCONF',
    async begin(admin, server) {
      await admin.config('SET', 'save', '900 1');
      rmSync(server.dataDir, { recursive: true });
      await admin.bgsave();
    },
    end: (admin) => admin.config('SET', 'stop-writes-on-bgsave-error', 'no'),
  },
  {
    // A script of somebody else does not end.
    word: 'BUSY',
    async begin(admin, server) {
      await admin.config('SET', 'busy-reply-threshold', '20');
      const endless = new Redis(server.url);
      endless.eval('while true do end', 0).catch(() => endless.disconnect());
    },
    end: (admin) => admin.script('KILL'),
  },
];

describe.each(refusals)('A Redis that says $word', ({ word, begin, end, lettingOldOnesBe }) => {
  let server: Server;
  let admin: Redis;
  let holder: LockEngine;
  let waiter: LockEngine;
  let [renewed, handedOn, released, downgraded]: Lock[] = [];
  let turn: Promise<Lock>;
  let hasTurn = false;

  const port = (): KeyBackend => holder.backend as KeyBackend;
  const claim = (key: string, owner = 'pod:1'): Claim => ({
    key: `lock:${key}`,
    owner,
    mode: 'exclusive',
    limit: 1,
    ttl: 20_000,
    claimTtl: 3_000,
  });
  const claimOf = ({ key, owner }: Lock): Claim => claim(key, owner);

  beforeAll(async () => {
    server = await startRedisProcess('redis', ['--appendonly', 'no']);
    admin = new Redis(server.url).on('error', () => undefined);
    holder = new LockEngine(redis({ url: server.url }));
    waiter = new LockEngine(redis({ url: server.url }));
    const take = (key: string): Promise<Lock> => holder.acquire(key, { ttl: '20s' });
    [renewed, handedOn, released, downgraded] = await Promise.all(
      ['renewed', 'handed on', 'released', 'less'].map(take),
    );
    turn = waiter.acquire('handed on', { ttl: '20s', wait: '60s' });
    void turn.then(() => (hasTurn = true));
    await inLine(holder, 'handed on', 1);
    await begin(admin, server);
    await eventually(`the server says ${word}`, () => admin.set('x', 'y').then(() => false, isRefused));
  });
  afterAll(async () => {
    await holder?.close(0);
    await waiter?.close(0);
    admin?.disconnect();
    await server?.stop();
  });
  const isRefused = (error: Error): boolean => error.message.startsWith(word);
  /** The answer, or what the server's error begins with. */
  const said = (answer: Promise<unknown> | undefined): Promise<unknown> | undefined => answer?.catch(wordOf);

  it('gives no lock, and says why', async () => {
    expect(await said(port().attempt(claim('new')))).toBe(word);
    expect(await said(port().attemptAll?.([claim('new'), claim('newer')]))).toBe(word);
    await expect(holder.tryAcquire('newest')).rejects.toThrow(word);
  });

  it('renews no lock without writing that', async () => {
    expect(await said(port().renew([claimOf(renewed!)]))).toEqual(lettingOldOnesBe ? [true] : word);
    expect(renewed!.held).toBe(true);
  });

  it('hands no lock on without writing that', async () => {
    expect(await said(port().release(claimOf(handedOn!)))).toBe(lettingOldOnesBe ?? word);
    if (lettingOldOnesBe) await turn;
    expect(hasTurn).toBe(lettingOldOnesBe ?? false);
  });

  it('lets go of no lock without writing that', async () => {
    expect(await said(port().release(claimOf(released!)))).toBe(lettingOldOnesBe ?? word);
    expect(await said(port().downgrade?.(claimOf(downgraded!)))).toBe(lettingOldOnesBe ?? word);
  });

  it('and stops doing so, has the locks that it had, and gives new ones', async () => {
    await end(admin);
    const attempt = (key: string) => (): Promise<Attempt | false> =>
      port()
        .attempt(claim(key))
        .catch(() => false);
    await eventually('it takes writes again', attempt('new'));
    expect(await port().renew([claimOf(renewed!)])).toEqual([true]);
    for (const lock of [handedOn, released]) await lock!.release();
    await (await turn).release();
    for (const key of ['released', 'newer', 'newest']) await (await waiter.acquire(key)).release();
    expect((await holder.inspect('less')).holders).toHaveLength(1);
    expect(renewed!.held).toBe(true);
  });
});
