/** One process of a service that uses the locks, driven by a test through messages: see pod.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { LockBackend } from '../../../lib/backends/backend.js';
import { consul as consulBackend } from '../../../lib/backends/consul/index.js';
import { etcd as etcdBackend } from '../../../lib/backends/etcd/index.js';
import { mysql as mysqlBackend } from '../../../lib/backends/mysql/index.js';
import { postgres as postgresBackend } from '../../../lib/backends/postgres/index.js';
import { redis as redisBackend } from '../../../lib/backends/redis/index.js';
import { zookeeper as zookeeperBackend } from '../../../lib/backends/zookeeper/index.js';
import { LockEngine } from '../../../lib/engine/engine.js';
import { now } from './machine-clock.js';
import type { Inside, Order, PodOptions, Report } from './pod.js';

const options = JSON.parse(process.argv[2] ?? '{}') as PodOptions;
const { url = '', etcd, postgres, mysql, zookeeper, consul } = options;
let engine: LockEngine | undefined;
let client: Redis | undefined;

function backend(): LockBackend {
  if (etcd) return etcdBackend({ hosts: etcd });
  if (zookeeper !== undefined) return zookeeperBackend({ connect: zookeeper });
  // The servers of tests take sessions as short as that.
  if (consul) return consulBackend({ url: consul, sessionTtlMin: '1s' });
  if (postgres !== undefined) return postgresBackend({ connectionString: postgres });
  if (mysql !== undefined) return mysqlBackend({ uri: mysql });
  return redisBackend({ url, counterTtl: options.counterTtl ?? '10m' });
}

const inside: Inside = {
  get engine() {
    return (engine ??= new LockEngine(backend()));
  },
  get redis() {
    return (client ??= new Redis(url).on('error', () => undefined));
  },
  kept: {},
  now,
  sleep,
  say: (word, value) => report({ type: 'said', word, value, at: now() }),
  letGo: () => {
    client?.disconnect();
    process.channel?.unref();
  },
};

const report = (message: Report): void => void process.send?.(message, () => undefined);

process.on('message', ({ id, work, argument }: Order) => {
  // eslint-disable-next-line no-new-func -- the test's own function, which names nothing but its two arguments
  const run = new Function(`return (${work})`)() as (inside: Inside, argument: unknown) => unknown;
  Promise.resolve()
    .then(() => run(inside, argument))
    .then(
      (value) => report({ type: 'done', id, value }),
      (error: unknown) => report({ type: 'failed', id, error: describe(error) }),
    );
});
// The test runner is gone, however it ended.
process.on('disconnect', () => process.exit());
report({ type: 'ready' });

function describe(error: unknown): { name: string; message: string; code: unknown; stack: string | undefined } {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined, stack: undefined };
  return { name: error.name, message: error.message, code: (error as { code?: unknown }).code, stack: error.stack };
}
