import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeBackend } from '../../lib/testing/index.js';
import { sessionMemory } from './session-memory.js';

// Proves the engine's other half, and that the contract asks nothing that only one of the two families can give.
const backend = sessionMemory();

describeBackend('a session backend', { describe, it, beforeAll, afterAll }, { create: () => backend, ttl: 500 });
