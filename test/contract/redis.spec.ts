import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { redisFixture } from './redis-fixture.js';

describeBackend(
  'redis',
  { describe, it, beforeAll, afterAll },
  redisFixture(({ url }) => redis({ url })),
);
