import { createClient } from '@redis/client';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redis, type RedisOptions } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockConfigurationError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { askRedis } from '../servers/redis.js';
import { type RedisSentinel, startRedisSentinel } from '../servers/redis-sentinel.js';
import { inLine } from './support/in-pod.js';

describe('Locks on a primary with a replica, under Sentinel,', () => {
  let setup: RedisSentinel;
  let closers: (() => Promise<unknown>)[];

  beforeEach(async () => {
    closers = [];
    setup = await startRedisSentinel();
  });
  afterEach(async () => {
    await Promise.all(closers.map((close) => close()));
    await setup.stop();
  });

  /** One more process. */
  function engine(options: Pick<RedisOptions, 'waitReplicas' | 'waitReplicasTimeout'> = {}): LockEngine {
    const client = new Redis({ sentinels: [...setup.sentinels], name: setup.name }).on('error', () => undefined);
    const engine = new LockEngine(redis({ client, ...options }));
    closers.push(() => engine.close(0).then(() => client.disconnect()));
    return engine;
  }

  /** And one on node-redis, which does not ask the sentinels. */
  async function nodeRedisEngine(
    options: Pick<RedisOptions, 'waitReplicas' | 'waitReplicasTimeout'>,
  ): Promise<LockEngine> {
    const client = createClient({ url: setup.primary.url }).on('error', () => undefined);
    await client.connect();
    const engine = new LockEngine(redis({ client, ...options }));
    closers.push(() => engine.close(0).then(() => client.destroy()));
    return engine;
  }

  const promoted = () =>
    eventually('the replica is primary', async () => (await setup.currentPrimary()) === setup.replica);

  it('a failover that loses a lock is told to its holder, and the next token is larger', async () => {
    const [first, second] = [engine(), engine()];
    await Promise.all([first.ping(), second.ping()]);
    // It hears no more of the primary, not even what is on its way.
    setup.replica.pause();
    await askRedis(setup.primary.port, 'CLIENT', 'KILL', 'TYPE', 'replica');
    const lock = await first.acquire('k', { ttl: '5s' });
    await setup.primary.kill();
    setup.replica.resume();
    await promoted();
    const next = await second.acquire('k', { wait: '10s' });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await eventually('the holder is told', () => lock.signal.aborted);
    expect(lock.held).toBe(false);
    expect(await lock.release()).toBe(false);
    expect(await next.release()).toBe(true);
  });

  it('a lock that the replica has outlives the primary, and so do those who wait for it', async () => {
    const [first, second] = [engine({ waitReplicas: 1 }), engine()];
    const lock = await first.acquire('k', { ttl: '5s' });
    const turn = second.acquire('k', { wait: '20s' });
    await inLine(second, 'k', 1);
    // The line is replicated too, if not waited for.
    await eventually(
      'the replica knows who waits',
      async () => (await askRedis(setup.replica.port, 'ZCARD', '{lock:k}:line')) === 1,
    );
    await setup.primary.kill();
    await promoted();
    await eventually(
      'it is renewed at the new primary',
      async () => (await first.inspect('k')).holders[0]?.owner === lock.owner,
    );
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe(true);
    const next = await turn;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(await next.release()).toBe(true);
  });

  it.each([
    ['ioredis', engine],
    ['node-redis', nodeRedisEngine],
  ])(
    'with `waitReplicas` a lock that no replica confirms is not given out, and is taken back; others go on being renewed (%s)',
    async (_, open) => {
      const strict = await open({ waitReplicas: 1, waitReplicasTimeout: '100ms' });
      const lax = engine();
      const kept = await strict.acquire('kept', { ttl: '1s' });
      setup.replica.pause();
      const failure = await strict.acquire('k', { wait: '1s' }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(LockBackendError);
      expect((failure as Error).message).toContain('only 0 of 1 replicas confirmed the lock within 100 ms');
      await eventually('it is taken back', async () => !(await lax.inspect('k')).held);
      expect(kept.held).toBe(true);
      setup.replica.resume();
      await eventually('the replica follows again', async () => {
        const lock = await strict.tryAcquire('k');
        return (await lock?.release()) ?? false;
      });
      expect(await kept.release()).toBe(true);
    },
  );

  it('a demoted primary gives out nothing, and the locks are back when it is primary again', async () => {
    const backend = redis({ url: setup.primary.url });
    const direct = new LockEngine(backend);
    closers.push(() => direct.close(0));
    expect(await (await direct.acquire('k')).release()).toBe(true);
    // The sentinels would undo this within seconds, and nobody may do so before the test has looked.
    await Promise.all(setup.sentinels.map(({ port }) => askRedis(port, 'SENTINEL', 'REMOVE', setup.name)));
    await askRedis(setup.primary.port, 'REPLICAOF', setup.replica.host, `${setup.replica.port}`);
    await expect(direct.tryAcquire('k')).rejects.toThrow(/READONLY/);
    await askRedis(setup.primary.port, 'REPLICAOF', 'NO', 'ONE');
    const lock = await direct.acquire('k', { wait: '5s' });
    expect(await lock.release()).toBe(true);
  });
});

it('a `waitReplicas` that makes no sense is refused', () => {
  for (const options of [{ waitReplicas: -1 }, { waitReplicas: 1.5 }, { waitReplicas: 1, waitReplicasTimeout: 0 }]) {
    expect(() => redis(options)).toThrow(LockConfigurationError);
  }
});
