import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './eventually.js';
import { type RedisSentinel, startRedisSentinel } from './redis-sentinel.js';

describe('Redis sentinels of a test', () => {
  let setup: RedisSentinel;

  beforeAll(async () => {
    setup = await startRedisSentinel();
  });
  afterAll(() => setup.stop());

  it('lead a client to the primary', async () => {
    const client = new Redis({ sentinels: [...setup.sentinels], name: setup.name });
    expect(await client.set('key', 'value')).toBe('OK');
    client.disconnect();
    expect(await setup.currentPrimary()).toBe(setup.primary);
  });

  it('make the replica primary when the primary is killed', async () => {
    await setup.primary.kill();
    await eventually('the fail-over', async () => (await setup.currentPrimary()) === setup.replica);
  });
});
