import { afterAll, beforeAll, describe, it } from 'vitest';
import { memory } from '../../lib/backends/memory/index.js';
import { quorum } from '../../lib/backends/redlock/index.js';
import { describeBackend } from '../../lib/testing/index.js';

// Five servers in this process; each process of a test is a quorum of its own over them.
const servers = Array.from({ length: 3 }, () => memory());

for (const fencing of [false, true]) {
  describeBackend(
    `quorum over memory${fencing ? ', with fencing' : ''}`,
    { describe, it, beforeAll, afterAll },
    { create: () => quorum(servers, { fencing }), ttl: 500 },
  );
}
