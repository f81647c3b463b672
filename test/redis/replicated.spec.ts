import { describe, expect, it } from 'vitest';
import { protocol } from '../../lib/backends/redis/protocol/index.js';
import { replicatedRunner, type WaitingConnection } from '../../lib/backends/redis/replicated.js';

/** A connection that stands at once, to a primary whose replicas have that many of its writes. */
const primaryWith = (replicas: number) => (told: { up(): void }) => {
  process.nextTick(() => told.up());
  const connection: WaitingConnection = {
    run: async () => '12345',
    wait: async () => replicas,
    ping: async () => 'PONG',
    close() {},
  };
  return connection;
};

const { attempt } = protocol(0);

describe('a lock that replicas have to have', () => {
  it.each([
    [1, 2],
    [0, 1],
    [2, 3],
  ])('is none when only %i of %i have it', async (have, count) => {
    const replicated = replicatedRunner(primaryWith(have), { count, timeoutMs: 50 });
    await expect(replicated.run(attempt, ['k'], [])).rejects.toThrow(`only ${have} of ${count} replicas confirmed`);
    replicated.close();
  });

  it('counts when so many have it', async () => {
    const replicated = replicatedRunner(primaryWith(2), { count: 2, timeoutMs: 50 });
    expect(await replicated.run(attempt, ['k'], [])).toBe('12345');
    replicated.close();
  });
});
