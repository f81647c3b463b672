import { afterAll, beforeAll, describe, it } from 'vitest';
import { redlock } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { mastersFixture } from './redlock-fixture.js';

// Each case dials all servers for each process, which on a busy machine takes longer than the usual time limit of a vote.
describeBackend(
  'redlock',
  { describe, it, beforeAll, afterAll },
  mastersFixture(5, (urls) => redlock({ urls, restartGuard: '70s', nodeTimeout: '1s' })),
);
