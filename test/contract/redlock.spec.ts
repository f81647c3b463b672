import { createClient } from '@redis/client';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redlock } from '../../lib/backends/redlock/index.js';
import type { LockBackend } from '../../lib/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { mastersFixture } from './redlock-fixture.js';
import { allGroupsBut, onlyGroups } from './some-cases.js';

const harness = { describe, it, beforeAll, afterAll };
// Each case dials all servers for each process, which on a busy machine takes longer than the usual time limit of a vote.
const behaviour = { restartGuard: '70s', nodeTimeout: '1s' } as const;

describeBackend(
  'redlock',
  // redlock-memory.spec.ts proves these for the same quorum: what they ask about is above the servers.
  allGroupsBut(harness, ['every combination', 're-entry', 'holding', 'events']),
  mastersFixture(5, (urls) => redlock({ urls, ...behaviour }), 1_500),
);

/** Three masters by the application's clients, of both libraries. */
async function withClients(urls: readonly string[]): Promise<LockBackend> {
  const [first = '', ...others] = urls;
  const one = createClient({ url: first });
  one.on('error', () => undefined);
  await one.connect();
  const more = others.map((url) => new Redis(url).on('error', () => undefined));
  const backend = redlock({ clients: [one, ...more], ...behaviour });
  const close = backend.close.bind(backend);
  return Object.assign(backend, {
    close: async () => {
      await close();
      // Left open for whoever made them.
      if (!one.isOpen || more.some(({ status }) => status === 'end')) throw new Error('a client was closed');
      one.destroy();
      for (const client of more) client.disconnect();
    },
  });
}

describeBackend(
  'redlock on three masters by clients of ioredis and node-redis',
  onlyGroups(harness, ['the port', 'promises: who is inside', 'a crowd', 'in the end']),
  mastersFixture(3, withClients),
);
