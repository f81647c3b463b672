/**
 * A process with nothing else to do: `hold` keeps a lock with its watch-dog, `wait` waits for a busy key, `idle` has waited
 * and let go. What it ends with, and when, is the test.
 */
import { createClient } from '@redis/client';
import type { LockBackend } from '../../lib/backends/backend.js';
import { memory } from '../../lib/backends/memory/index.js';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';

const [, , url = '', what] = process.argv;
const backend = await opened();
const engine = new LockEngine(backend);

async function opened(): Promise<LockBackend> {
  if (url === 'memory') return memory();
  if (!url.startsWith('node-')) return redis({ url });
  const client = createClient({ url: url.slice('node-'.length) });
  await client.connect();
  // The application's own connection is the application's own affair.
  client.unref();
  return redis({ client });
}

if (what === 'hold') await engine.acquire(`lifetime of a holder on ${url}`, { ttl: '1s' });
if (what === 'wait') {
  await engine.acquire(`lifetime of a waiter on ${url}`, { ttl: '2s', renew: false });
  await engine.acquire(`lifetime of a waiter on ${url}`, { wait: '20s' });
}
if (what === 'idle') {
  const lock = await engine.acquire(`lifetime of an idler on ${url}`, { ttl: '1m' });
  const next = engine.acquire(`lifetime of an idler on ${url}`);
  await lock.release();
  await (await next).release();
}
process.stdout.write('done');
