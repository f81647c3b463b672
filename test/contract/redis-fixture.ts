import { Redis } from 'ioredis';
import type { LockBackend } from '../../lib/index.js';
import type { BackendFixture, Faults } from '../../lib/testing/index.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

/** A server that holds locks, and a client to look into it. */
export interface Inspected {
  readonly server: RedisServer;
  readonly admin: Redis;
}

export const inspected = (server: RedisServer): Inspected => ({
  server,
  admin: new Redis(server.port, server.host).on('error', () => undefined),
});

/** A Redis of its own that the contract suite may freeze, kill and look into, for whichever client the backend is over. */
export function redisFixture(
  create: (server: RedisServer) => LockBackend | Promise<LockBackend>,
  args: readonly string[] = [],
): BackendFixture {
  let redis: Inspected;
  return {
    async start() {
      redis = inspected(await startRedis({ own: true, args }));
    },
    async stop() {
      redis.admin.disconnect();
      await redis.server.stop();
    },
    create: () => create(redis.server),
    ttl: 1_000,
    tokensOutliveData: true,
    faults: { ...faultsOf(() => [redis]), restart: (options) => redis.server.restart(options) },
  };
}

/** What can be done to servers that hold locks, all of them at once. */
export function faultsOf(nodes: () => readonly Inspected[]): Faults {
  const each = async (work: (node: Inspected) => Promise<unknown>): Promise<void> => {
    await Promise.all(nodes().map(work));
  };
  return {
    steal: (fullKey) =>
      each(async ({ admin }) => {
        for (const key of await admin.keys(`*${fullKey}*`)) await admin.del(key);
      }),
    pause: async () => nodes().forEach(({ server }) => server.pause()),
    resume: async () => nodes().forEach(({ server }) => server.resume()),
    cutConnections: () =>
      each(async ({ admin }) => {
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      }),
    async residue() {
      const left: string[] = [];
      await each(async ({ admin }) => {
        for (const key of await admin.keys('*')) {
          const fields = (await admin.type(key)) === 'hash' ? await admin.hkeys(key) : ['not a hash'];
          // A counter, and the size that it counted for, which end by themselves.
          const counter = fields.every((field) => ['t', 'n', 'g'].includes(field)) && (await admin.pttl(key)) !== -1;
          if (!counter) left.push(`${key}: ${fields.join(' ')}`);
        }
      });
      return left;
    },
  };
}
