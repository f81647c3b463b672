import { afterAll, beforeAll, describe, it } from 'vitest';
import { LockTable } from '../../lib/backends/memory/lock-table.js';
import { describeBackend } from '../../lib/testing/index.js';
import { SessionServer } from '../simulation/session-server.js';

// Proves the engine's other half, and that the contract asks nothing that only one of the two families can give. It is the model that
// the simulation uses, so the contract also proves that model.
const now = (): number => performance.now();
const backend = new SessionServer(new LockTable(now), now).backend({ attemptAll: true });

describeBackend('a session backend', { describe, it, beforeAll, afterAll }, { create: () => backend, ttl: 500 });
