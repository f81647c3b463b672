import { afterAll, beforeAll, describe, it } from 'vitest';
import { postgres } from '../../lib/backends/postgres/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { postgresFixture } from './postgres-fixture.js';

describeBackend(
  'postgres',
  { describe, it, beforeAll, afterAll },
  postgresFixture(({ url }) => postgres({ connectionString: url, max: 2 })),
);
