import { afterAll, beforeAll, describe, it } from 'vitest';
import { memory } from '../../lib/backends/memory/index.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';
import { onlyGroups } from './some-cases.js';

// Three servers in this process; each process of a test is a quorum of its own over them.
const servers = Array.from({ length: 3 }, () => memory());
const harness = { describe, it, beforeAll, afterAll };

describeBackend('quorum over memory', harness, { create: () => quorum(servers), ttl: 300 });

// Tokens are had by a second round of each acquisition, and there are no readers.
describeBackend(
  'quorum over memory, with fencing',
  onlyGroups(harness, ['the port', 'promises: who is inside', 'readers and writers', 'several keys', 'in the end']),
  { create: () => quorum(servers, { fencing: true }), ttl: 300 },
);
