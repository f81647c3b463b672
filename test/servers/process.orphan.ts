/** A test runner that starts a server and waits to be killed: see process.spec.ts. */
import { startRedisProcess } from './redis.js';

const { pid, dataDir } = await startRedisProcess('redis-orphan', []);
process.send?.({ pid, dataDir });
setTimeout(() => undefined, 60_000);
