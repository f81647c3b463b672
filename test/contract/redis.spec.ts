import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

let server: RedisServer;
let admin: Redis;

describeBackend(
  'redis',
  { describe, it, beforeAll, afterAll },
  {
    async start() {
      server = await startRedis({ own: true });
      admin = new Redis(server.url);
    },
    async stop() {
      admin.disconnect();
      await server.stop();
    },
    create: () => redis({ url: server.url }),
    ttl: 1_000,
    tokensOutliveData: true,
    faults: {
      async steal(fullKey) {
        await admin.del(...(await admin.keys(`*${fullKey}*`)));
      },
      pause: async () => server.pause(),
      resume: async () => server.resume(),
      restart: (options) => server.restart(options),
      async cutConnections() {
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      },
      async residue() {
        const left: string[] = [];
        for (const key of await admin.keys('*')) {
          const fields = (await admin.type(key)) === 'hash' ? await admin.hkeys(key) : ['not a hash'];
          // A counter, and the size that it counted for, which end by themselves.
          const counter = fields.every((field) => field === 't' || field === 'n') && (await admin.pttl(key)) !== -1;
          if (!counter) left.push(`${key}: ${fields.join(' ')}`);
        }
        return left;
      },
    },
  },
);
