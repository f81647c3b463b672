import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startZooKeeperEnsemble, type ZooKeeperEnsemble } from '../servers/zookeeper.js';
import { zooKeeperFixture } from './zookeeper-fixture.js';

describeBackend(
  'zookeeper, an ensemble of three',
  { describe, it, beforeAll, afterAll },
  zooKeeperFixture(() => startZooKeeperEnsemble(3), {
    more: (ensemble) => ({
      async failover() {
        const { leader: leaderOf } = ensemble as ZooKeeperEnsemble;
        const leader = await leaderOf();
        await leader.kill();
        await leaderOf();
        await leader.restart();
      },
    }),
  }),
);
