import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../servers/redis.js';

const script = fileURLToPath(new URL('lifetime.process.ts', import.meta.url));

/** What the process said by the time it ended by itself. */
async function lifeOf(address: string, what: 'hold' | 'wait' | 'idle'): Promise<string> {
  const args = ['--import', '@oxc-node/core/register', script, address, what];
  // Killed by the time limit, it rejects.
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout;
}

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

describe.concurrent.each(['memory', 'redis', 'node-redis'])('13 shutdown: on %s', (name) => {
  const address = () => name.replace('redis', server.url);

  it('a lock that is held and renewed does not keep the process alive', async () => {
    await expect(lifeOf(address(), 'hold')).resolves.toBe('done');
  });

  it('idle connections do not keep the process alive', async () => {
    await expect(lifeOf(address(), 'idle')).resolves.toBe('done');
  });

  it('a pending acquire keeps the process alive until it has its lock', async () => {
    await expect(lifeOf(address(), 'wait')).resolves.toBe('done');
  });
});
