import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startZooKeeper } from '../servers/zookeeper.js';
import { zooKeeperFixture } from './zookeeper-fixture.js';

describeBackend(
  'zookeeper',
  { describe, it, beforeAll, afterAll },
  zooKeeperFixture(async () => {
    const server = await startZooKeeper({ own: true });
    return { members: [server], stop: () => server.stop() };
  }),
);
