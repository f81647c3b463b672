import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { type BackendFixture, describeBackend } from '../../lib/testing/index.js';
import { rounds } from '../faults/support/rounds.js';
import { eventually } from '../servers/eventually.js';
import { type RedisSentinel, startRedisSentinel } from '../servers/redis-sentinel.js';
import { onSeveralServers } from './parts.js';
import { faultsOf, type Inspected, inspected } from './redis-fixture.js';

/** A primary and its replica, which the sentinels leave alone for the few seconds that a test freezes both. */
function sentinelFixture(waitReplicas: number): BackendFixture {
  let setup: RedisSentinel;
  let nodes: Inspected[];
  return {
    async start() {
      setup = await startRedisSentinel({ downAfterMs: 15_000 });
      nodes = [inspected(setup.primary), inspected(setup.replica)];
    },
    async stop() {
      for (const { admin } of nodes) admin.disconnect();
      await setup.stop();
    },
    create() {
      const client = new Redis({ sentinels: [...setup.sentinels], name: setup.name }).on('error', () => undefined);
      const backend = redis({ client, waitReplicas });
      const close = backend.close.bind(backend);
      return Object.assign(backend, { close: () => close().then(() => client.disconnect()) });
    },
    ttl: 1_000,
    tokensOutliveData: true,
    faults: {
      ...faultsOf(() => nodes),
      // What the primary forgets the replica forgets.
      async steal(fullKey) {
        await faultsOf(() => nodes.slice(0, 1)).steal?.(fullKey);
      },
      residue: async () => (await faultsOf(() => nodes.slice(0, 1)).residue?.()) ?? [],
      async restart({ keepData }) {
        if (!keepData) await nodes[0]?.admin.flushall();
        await Promise.all(nodes.map(({ server }) => server.restart()));
        await setup.ready();
      },
      async failover() {
        const before = await setup.currentPrimary();
        const sentinel = new Redis({ ...setup.sentinels[0] });
        await sentinel.call('SENTINEL', 'FAILOVER', setup.name);
        sentinel.disconnect();
        await eventually('the replica is primary', async () => (await setup.currentPrimary()) !== before);
        nodes.reverse();
        await setup.ready();
      },
    },
  };
}

const harness = onSeveralServers({ describe, it, beforeAll, afterAll });

describeBackend('redis under Sentinel, waiting for the replica', harness, sentinelFixture(1));
// The same again without that is for the longer runs.
if (rounds > 1) describeBackend('redis under Sentinel', harness, sentinelFixture(0));
