import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './eventually.js';
import { isRunning } from './process.js';
import { type RedisCluster, startRedisCluster } from './redis-cluster.js';

describe('A Redis cluster of a test', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startRedisCluster({ replicas: 1 });
  });
  afterAll(() => cluster.stop());

  it('has three masters and their replicas, and serves every slot', async () => {
    const client = new Cluster([...cluster.hosts]);
    expect(cluster.nodes).toHaveLength(6);
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) expect(await client.set(key, key)).toBe('OK');
    client.disconnect();
  });

  it('fails a killed master over to its replica', async () => {
    const before = await cluster.ownerOf('order:1');
    await before.kill();
    const after = await eventually('a new owner', async () => {
      const owner = await cluster.ownerOf('order:1');
      return owner !== before && owner;
    });
    expect(cluster.nodes).toContain(after);
    await before.restart();
  });

  it('leaves nothing when it is stopped', async () => {
    const pids = cluster.nodes.map(({ pid }) => pid);
    expect(pids.every(isRunning)).toBe(true);
    await cluster.stop();
    expect(pids.some(isRunning)).toBe(false);
  });
});
