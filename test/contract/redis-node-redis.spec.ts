import { createClient } from '@redis/client';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { redisFixture } from './redis-fixture.js';
import { overAnotherClient } from './parts.js';

describeBackend(
  'redis over node-redis',
  overAnotherClient({ describe, it, beforeAll, afterAll }),
  redisFixture(async ({ url }) => {
    const client = createClient({ url });
    client.on('error', () => undefined);
    await client.connect();
    const backend = redis({ client });
    const close = backend.close.bind(backend);
    // The client is the application's, which closes it after the backend.
    return Object.assign(backend, { close: () => close().then(() => client.destroy()) });
  }),
);
