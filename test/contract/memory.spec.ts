import { afterAll, beforeAll, describe, it } from 'vitest';
import { memory } from '../../lib/backends/memory/index.js';
import { describeBackend } from '../../lib/testing/index.js';

// All processes of a test are engines over one backend: these locks live in one process.
const backend = memory();

describeBackend('memory', { describe, it, beforeAll, afterAll }, { create: () => backend, ttl: 500 });
