import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { memory } from '../../lib/backends/memory/index.js';
import { postgres } from '../../lib/backends/postgres/index.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import { describeBackend } from '../../lib/testing/index.js';
import { startPostgres, type PostgresServer } from '../servers/postgres.js';
import { type RedisServer, startRedis } from '../servers/redis.js';
import { onlyGroups } from './some-cases.js';

let redisServer: RedisServer;
let postgresServer: PostgresServer;
// All processes of these tests are this one, so its memory is a server like the others.
const here = memory();

const start = async (): Promise<void> => {
  [redisServer, postgresServer] = await Promise.all([startRedis({ own: true }), startPostgres({ own: true })]);
};
const stop = async (): Promise<void> => {
  await Promise.all([redisServer.stop(), postgresServer.stop()]);
};
// A database answers more slowly than the usual time limit of a vote allows for when its tables are made.
const members = (fencing = false) =>
  quorum([redis({ url: redisServer.url }), here, postgres({ connectionString: postgresServer.url, max: 4 })], {
    nodeTimeout: '1s',
    fencing,
  });

// What the servers answer differently. What the engine makes of answers is proved for each kind of server by itself.
describeBackend(
  'a quorum of Redis, memory and PostgreSQL',
  onlyGroups({ describe, it, beforeAll, afterAll }, ['the port', 'semaphores', 'in the end']),
  { start, stop, create: () => members(), ttl: 2_000 },
);

describe('a quorum of servers of different kinds', () => {
  beforeAll(start);
  afterAll(stop);

  it.each(['Redis', 'PostgreSQL'])('hands its locks on, with growing tokens, while %s is frozen', async (which) => {
    const frozen = which === 'Redis' ? redisServer : postgresServer;
    const engines = [0, 1].map(() => new LockEngine(members(true), { prefix: '', defaults: { ttl: '20s' } }));
    for (const engine of engines) await (await engine.acquire(which)).release();
    frozen.pause();
    let last = -1n;
    try {
      const [one, other] = engines as [LockEngine, LockEngine];
      for (let round = 0; round < 3; round++) {
        const lock = await one.acquire(which);
        const next = other.acquire(which);
        expect(lock.fencingToken).toBeGreaterThan(last);
        await lock.release();
        const handed = await next;
        expect(handed.fencingToken).toBeGreaterThan(lock.fencingToken ?? -1n);
        last = handed.fencingToken ?? -1n;
        await handed.release();
      }
    } finally {
      frozen.resume();
    }
    await Promise.all(engines.map((engine) => engine.close(0)));
  });

  it('refuses what a majority cannot keep: shared locks with `fencing`, a limit above 1, a server with sessions', async () => {
    const engine = new LockEngine(members(true));
    await expect(engine.acquire('order', { mode: 'shared' })).rejects.toBeInstanceOf(LockConfigurationError);
    await expect(engine.acquire('order', { limit: 2 })).rejects.toBeInstanceOf(LockConfigurationError);
    await engine.close(0);
    expect(() => quorum([here, etcd({ hosts: 'localhost:2379' })])).toThrow('keeps its locks by sessions');
  });
});
