import { afterAll, beforeAll, describe, it } from 'vitest';
import { redlock } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { mastersFixture } from './redlock-fixture.js';
import { allGroupsBut, onlyGroups } from './some-cases.js';

const harness = { describe, it, beforeAll, afterAll };
// Each case dials all servers for each process, which on a busy machine takes longer than the usual time limit of a vote.
const masters = (count: number) =>
  mastersFixture(count, (urls) => redlock({ urls, restartGuard: '70s', nodeTimeout: '1s' }));

describeBackend(
  'redlock',
  // redlock-memory.spec.ts proves these for the same quorum: what they ask about is above the servers.
  allGroupsBut(harness, ['every combination', 're-entry', 'holding', 'events']),
  masters(5),
);

describeBackend(
  'redlock on three masters',
  onlyGroups(harness, ['the port', 'promises: who is inside', 'a crowd', 'in the end']),
  masters(3),
);
