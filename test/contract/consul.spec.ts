import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { startConsul } from '../servers/consul.js';
import { consulFixture } from './consul-fixture.js';

describeBackend(
  'consul',
  { describe, it, beforeAll, afterAll },
  consulFixture(
    async () => {
      const server = await startConsul({ own: true });
      return { members: [server], stop: () => server.stop() };
    },
    async ({ members }) => members[0]?.restart(),
  ),
);
