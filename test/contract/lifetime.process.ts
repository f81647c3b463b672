/**
 * A process with nothing else to do: `hold` keeps a lock with its watch-dog, `wait` waits for a busy key, `idle` has waited
 * and let go. What it ends with, and when, is the test.
 */
import { memory } from '../../lib/backends/memory/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';

const [, , url = '', what] = process.argv;
const backend = url === 'memory' ? memory() : redis({ url });
const engine = new LockEngine(backend);

if (what === 'hold') await engine.acquire('lifetime of a holder', { ttl: '1s' });
if (what === 'wait') {
  await engine.acquire('lifetime of a waiter', { ttl: '2s', renew: false });
  await engine.acquire('lifetime of a waiter', { wait: '20s' });
}
if (what === 'idle') {
  const lock = await engine.acquire('lifetime of an idler', { ttl: '1m' });
  const next = engine.acquire('lifetime of an idler');
  await lock.release();
  await (await next).release();
}
process.stdout.write('done');
