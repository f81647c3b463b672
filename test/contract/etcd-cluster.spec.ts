import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startEtcdCluster } from '../servers/etcd.js';
import { etcdFixture } from './etcd-fixture.js';
import { onSeveralServers } from './parts.js';

describeBackend(
  'etcd, a cluster of three',
  onSeveralServers({ describe, it, beforeAll, afterAll }),
  etcdFixture(
    () => startEtcdCluster(3),
    (cluster) => ({
      async failover() {
        const leader = await (cluster as Awaited<ReturnType<typeof startEtcdCluster>>).leader();
        await leader.kill();
        await (cluster as Awaited<ReturnType<typeof startEtcdCluster>>).leader();
        await leader.restart();
      },
    }),
  ),
);
