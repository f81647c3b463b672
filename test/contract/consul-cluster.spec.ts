import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startConsulCluster } from '../servers/consul.js';
import { consulFixture } from './consul-fixture.js';

describeBackend(
  'consul, a cluster of three',
  { describe, it, beforeAll, afterAll },
  consulFixture(
    () => startConsulCluster(3),
    async (cluster) => {
      const leader = await cluster.leader();
      await leader.kill();
      await cluster.leader();
      await leader.restart();
    },
  ),
);
