import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Claim, KeyBackend, Waiter } from '../../lib/backends/backend.js';
import { redis } from '../../lib/backends/redis/index.js';
import { eventually } from '../servers/eventually.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

/** What the scripts do at the edges of their state, asked of the port, one verb at a time. */
describe('On a Redis, the scripts', () => {
  let server: RedisServer;
  let admin: Redis;
  const opened: KeyBackend[] = [];

  beforeAll(async () => {
    server = await startRedis({ own: true });
    admin = new Redis(server.url).on('error', () => undefined);
  });
  beforeEach(() => admin.flushall());
  afterAll(async () => {
    for (const backend of opened) await backend.close();
    admin?.disconnect();
    await server?.stop();
  });
  const open = (counterTtl?: number): KeyBackend => {
    const backend = redis({ url: server.url, ...(counterTtl !== undefined && { counterTtl }) }) as KeyBackend;
    opened.push(backend);
    return backend;
  };
  const claim = (owner: string, more: Partial<Claim> = {}): Claim => ({
    ...{ key: 'k', owner, mode: 'exclusive', limit: 1, ttl: 20_000, claimTtl: 3_000 },
    ...more,
  });
  const waiter: Waiter = { granted: () => undefined, look: () => undefined };
  /** Stands in line with an inbox that stands. */
  const join = (backend: KeyBackend, owner: string) => backend.attempt(claim(owner), waiter);

  it('extend the lease of a holder that asks once more: the lease is believed from that question on', async () => {
    const backend = open();
    for (const mode of ['exclusive', 'shared'] as const) {
      const mine = claim(`pod:${mode}`, { key: mode, mode, ttl: 500 });
      expect(await backend.attempt(mine)).toMatchObject({ granted: true });
      expect(await backend.attempt({ ...mine, ttl: 20_000 })).toMatchObject({ granted: true });
      const [holder] = (await backend.inspect(mode)).holders;
      expect(holder?.remainingMs).toBeGreaterThan(15_000);
    }
  });

  it('give several keys a token above that of each, also of one that is ahead of the clock', async () => {
    const backend = open();
    const ahead = BigInt(Date.now() + 3_600_000) * 1_000n;
    await backend.attempt(claim('pod:1'));
    await backend.release(claim('pod:1'));
    await admin.hset('{k}', 't', String(ahead));
    const grants = await backend.attemptAll?.([claim('pod:2', { key: 'another' }), claim('pod:2')]);
    for (const grant of grants as readonly { readonly fencingToken: bigint }[])
      expect(grant.fencingToken).toBeGreaterThan(ahead);
  });

  it('have newcomers stand back for those who may be reconnecting, and for a moment only', async () => {
    const [holder, gone, newcomer] = [open(), open(), open()];
    await holder.attempt(claim('holder:1'));
    await join(gone, 'gone:1');
    // Its inbox stands before that counts.
    await holder.attempt(claim('holder:2', { key: 'other' }));
    await join(newcomer, 'newcomer:1');
    await newcomer.release(claim('newcomer:1'));
    await gone.close();
    await eventually('nobody listens for it', async () => {
      const [, count] = (await admin.pubsub('NUMSUB', 'lock-inbox:gone')) as [string, number];
      return count === 0;
    });
    await holder.release(claim('holder:1'));
    expect(await newcomer.attempt(claim('newcomer:2'))).toMatchObject({ granted: false });
    expect(await newcomer.attempt(claim('newcomer:3'), waiter)).toMatchObject({ granted: false });
    await sleep(300);
    expect(await newcomer.attempt(claim('newcomer:3'), waiter)).toMatchObject({ granted: true });
  });

  it('keep a line alive to which more and more come', async () => {
    const backend = open();
    await backend.attempt(claim('pod:0', { ttl: 100_000 }));
    await join(backend, 'pod:1');
    await admin.pexpire('{k}:line', 20_000);
    for (let i = 2; i < 20; i++) await join(backend, `pod:${i}`);
    expect(await admin.pttl('{k}:line')).toBeGreaterThan(25_000);
  });

  it('do not shorten the life of a key that a long renewal gave it', async () => {
    const backend = open(0);
    const reader = claim('pod:1', { mode: 'shared', ttl: 1_000 });
    await backend.attempt(reader);
    expect(await backend.renew([{ ...reader, ttl: 3_600_000 }])).toEqual([true]);
    await backend.attempt(claim('pod:2', { mode: 'shared', ttl: 5_000 }));
    expect(await admin.pttl('{k}')).toBeGreaterThan(3_500_000);
  });
});
