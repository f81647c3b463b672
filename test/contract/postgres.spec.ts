import { Pool } from 'pg';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { postgres } from '../../lib/backends/postgres/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { postgresFixture } from './postgres-fixture.js';

// A pool that all share: a new connection costs the server a process, which has to read the functions before it can run one.
const pools: Pool[] = [];
afterAll(() => Promise.all(pools.map((pool) => pool.end())));

describeBackend(
  'postgres',
  { describe, it, beforeAll, afterAll },
  postgresFixture(({ url }) => {
    if (pools.length === 0) pools.push(new Pool({ connectionString: url, max: 16, idleTimeoutMillis: 0 }));
    const [pool] = pools;
    return pool ? postgres({ pool }) : postgres({ connectionString: url });
  }),
);
