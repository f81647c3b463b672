import { afterAll, beforeAll, describe, it } from 'vitest';
import { redlock } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { mastersFixture } from './redlock-fixture.js';

describeBackend(
  'redlock',
  { describe, it, beforeAll, afterAll },
  mastersFixture(3, (urls) => redlock({ urls, restartGuard: '70s' })),
);
