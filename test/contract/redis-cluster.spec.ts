import { Cluster } from 'ioredis';
import { Cluster as Cluster5 } from 'ioredis5';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import type { LockBackend } from '../../lib/index.js';
import { type BackendFixture, describeBackend } from '../../lib/testing/index.js';
import { rounds } from '../faults/support/rounds.js';
import { type RedisCluster, startRedisCluster } from '../servers/redis-cluster.js';
import { onSeveralServers } from './parts.js';
import { faultsOf, type Inspected, inspected } from './redis-fixture.js';

/** Three masters, none of which is given up by the others for the few seconds that a test freezes it. */
function clusterFixture(create: (cluster: RedisCluster) => LockBackend, args: readonly string[] = []): BackendFixture {
  let cluster: RedisCluster;
  let nodes: Inspected[];
  return {
    async start() {
      cluster = await startRedisCluster({ nodeTimeoutMs: 5_000, args });
      nodes = cluster.nodes.map(inspected);
    },
    async stop() {
      for (const { admin } of nodes) admin.disconnect();
      await cluster.stop();
    },
    create: () => create(cluster),
    ttl: 1_000,
    tokensOutliveData: true,
    faults: {
      ...faultsOf(() => nodes),
      async restart({ keepData }) {
        await Promise.all(
          nodes.map(async ({ server, admin }) => {
            // Without its files a node would not know its cluster any more.
            if (!keepData) await admin.flushall();
            await server.restart();
          }),
        );
        await cluster.ready();
      },
    },
  };
}

const harness = onSeveralServers({ describe, it, beforeAll, afterAll });

describeBackend(
  'redis in a cluster',
  harness,
  clusterFixture(({ hosts }) => redis({ cluster: hosts })),
);

// The same 138 tests once more for each are for the longer runs.
if (rounds > 1) {
  const handedIn =
    (Client: typeof Cluster) =>
    ({ hosts }: RedisCluster): LockBackend => {
      const client = new Client([...hosts]).on('error', () => undefined);
      const backend = redis({ client });
      const close = backend.close.bind(backend);
      return Object.assign(backend, { close: () => close().then(() => client.disconnect()) });
    };
  describeBackend('redis in a cluster, over a client of ioredis 6', harness, clusterFixture(handedIn(Cluster)));
  describeBackend(
    'redis in a cluster, over a client of ioredis 5',
    harness,
    clusterFixture(handedIn(Cluster5 as unknown as typeof Cluster)),
  );
  const unsharded = ['SPUBLISH', 'SSUBSCRIBE', 'SUNSUBSCRIBE'].flatMap((command) => ['--rename-command', command, '']);
  describeBackend(
    'redis in a cluster without sharded channels, as before 7.0',
    harness,
    clusterFixture(({ hosts }) => redis({ cluster: hosts }), unsharded),
  );
}
