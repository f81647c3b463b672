import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startEtcd } from '../servers/etcd.js';
import { etcdFixture } from './etcd-fixture.js';

describeBackend(
  'etcd',
  { describe, it, beforeAll, afterAll },
  etcdFixture(async () => {
    const server = await startEtcd({ own: true });
    return { members: [server], stop: () => server.stop() };
  }),
);
