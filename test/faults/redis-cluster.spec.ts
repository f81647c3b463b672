import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { Cluster as Cluster5 } from 'ioredis5';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redis } from '../../lib/backends/redis/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import type { Lock } from '../../lib/lock/lock.js';
import { type Hold, violations } from '../../lib/testing/contract/history.js';
import { eventually } from '../servers/eventually.js';
import { freePort } from '../servers/free-port.js';
import { askRedis, type RedisServer, startRedisProcess } from '../servers/redis.js';
import { type RedisCluster, startMoving, startRedisCluster } from '../servers/redis-cluster.js';
import { inLine } from './support/in-pod.js';
import { rounds, withinRounds } from './support/rounds.js';

interface Section extends Hold {
  /** The number of the worker in its load. */
  readonly worker: number;
  /** Its holder was told that the lock was lost: by the signal, or by the release. */
  readonly lost: boolean;
}

/** Three processes as far as the cluster can tell, each with two workers on each of the keys, until they are stopped. */
class Load {
  readonly sections: Section[] = [];
  readonly errors: unknown[] = [];
  #stopped = false;
  readonly #workers: readonly Promise<void>[];

  constructor(engines: readonly LockEngine[], keys: readonly string[]) {
    const places = engines.flatMap((engine) =>
      keys.flatMap((key) => [
        { engine, key },
        { engine, key },
      ]),
    );
    this.#workers = places.map(({ engine, key }, worker) => this.#work(worker, engine, key));
  }

  /** Resolves when every worker has asked once more from now on, and been served. */
  async everybodyServed(): Promise<void> {
    const from = performance.now();
    await eventually('everybody is served', () => {
      const since = this.sections.filter(({ asked }) => asked >= from);
      return new Set(since.map(({ worker }) => worker)).size === this.#workers.length;
    });
  }

  async stop(): Promise<readonly Section[]> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    return this.sections;
  }

  async #work(worker: number, engine: LockEngine, key: string): Promise<void> {
    while (!this.#stopped) {
      const asked = performance.now();
      let lock: Lock;
      try {
        lock = await engine.acquire(key, { wait: '30s', ttl: '3s' });
      } catch (error) {
        this.errors.push(error);
        return;
      }
      const from = performance.now();
      let lostAt: number | undefined;
      lock.signal.addEventListener('abort', () => (lostAt ??= performance.now()), { once: true });
      await sleep(5);
      const to = lostAt ?? performance.now();
      const released = await lock.release();
      this.sections.push({
        ...{ worker, key, owner: lock.owner, mode: 'exclusive', limit: 1, fencingToken: lock.fencingToken },
        ...{ asked, queued: undefined, from, to, lost: lostAt !== undefined || !released },
      });
    }
  }
}

describe('Locks in a Redis cluster of three masters and their replicas', () => {
  let cluster: RedisCluster;
  let engines: LockEngine[];
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];

  beforeAll(async () => {
    cluster = await startRedisCluster({ replicas: 1 });
    engines = Array.from({ length: 3 }, () => new LockEngine(redis({ cluster: cluster.hosts })));
  });
  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close(0)));
    await cluster.stop();
  });

  const masters = async (): Promise<RedisServer[]> => {
    const roles = await Promise.all(cluster.nodes.map(({ port }) => askRedis(port, 'ROLE').catch(() => [])));
    return cluster.nodes.filter((_, index) => (roles[index] as string[])[0] === 'master');
  };
  const replicaOf = async (master: RedisServer): Promise<RedisServer> =>
    eventually(`a replica of ${master.port}`, async () => {
      const roles = await Promise.all(cluster.nodes.map(({ port }) => askRedis(port, 'ROLE').catch(() => [])));
      return cluster.nodes.find((_, index) => {
        const [role, , port, state] = roles[index] as [string, string, number, string];
        return role === 'slave' && port === master.port && state === 'connected';
      });
    });

  /** Masters vote once in 2 s for one shard, and an order that finds no majority is forgotten after 5 s. */
  async function handOver(master: RedisServer, replica: RedisServer): Promise<void> {
    let orderedAt = -Infinity;
    await eventually(
      'the two have changed places',
      async () => {
        const now = await masters();
        if (now.includes(replica) && !now.includes(master)) return true;
        if (performance.now() > orderedAt + 5_500) {
          orderedAt = performance.now();
          await askRedis(replica.port, 'CLUSTER', 'FAILOVER');
        }
        return false;
      },
      { within: 20_000 },
    );
  }

  it(
    'lose nothing when each master hands over to its replica under load',
    async () => {
      const load = new Load(engines, keys);
      for (let round = 0; round < rounds; round++) {
        for (const master of await masters()) {
          const replica = await replicaOf(master);
          await load.everybodyServed();
          await handOver(master, replica);
        }
      }
      await load.everybodyServed();
      const sections = await load.stop();
      expect(load.errors).toEqual([]);
      expect(violations(sections, { fifo: false, fencing: true })).toEqual([]);
      console.log(
        `${sections.length} sections over ${3 * rounds} hand-overs, ${sections.filter(({ lost }) => lost).length} told of a loss`,
      );
    },
    withinRounds(20),
  );

  it(
    'lose nothing but what replication loses, and say so, when a master is killed under load; everybody is served afterwards',
    async () => {
      const load = new Load(engines, keys);
      for (let round = 0; round < rounds; round++) {
        await load.everybodyServed();
        const victim = await cluster.ownerOf('{lock:a}');
        await replicaOf(victim);
        await victim.kill();
        await eventually('a new master', async () => (await cluster.ownerOf('{lock:a}')) !== victim);
        await load.everybodyServed();
        await victim.restart();
        await cluster.ready();
      }
      const sections = await load.stop();
      expect(load.errors).toEqual([]);
      const found = (history: readonly Section[]) => violations(history, { fifo: false, fencing: true });
      expect(found(sections.filter(({ lost }) => !lost))).toEqual([]);
      expect(found(sections).filter((sentence) => sentence.includes('token.'))).toEqual([]);
      const pauses = keys.map((key) => {
        const inOrder = sections.filter((section) => section.key === key).sort((a, b) => a.from - b.from);
        return Math.max(...inOrder.slice(1).map(({ from }, i) => from - inOrder[i]!.to));
      });
      console.log(
        `${sections.length} sections over ${rounds} kills, ${sections.filter(({ lost }) => lost).length} told of a loss, ` +
          `${found(sections).length} overlaps, no key idle for more than ${Math.max(...pauses).toFixed(0)} ms`,
      );
    },
    withinRounds(20),
  );

  it(
    'go on while their slot moves to another master: held ones stay held, waiters are served in order',
    async () => {
      const [first, second, third] = engines as [LockEngine, LockEngine, LockEngine];
      const key = 'moving';
      const load = new Load(engines, ['beside{lock:moving}']);
      const lock = await first.acquire(key, { ttl: '1s' });
      const served: string[] = [];
      const turn = async (name: string, engine: LockEngine): Promise<bigint | undefined> => {
        const mine = await engine.acquire(key, { wait: '30s' });
        served.push(name);
        await mine.release();
        return mine.fencingToken;
      };
      const turns = [turn('second', second)];
      await inLine(first, key, 1);
      turns.push(turn('third', third));
      await inLine(first, key, 2);

      const from = await cluster.ownerOf(`{lock:${key}}`);
      const to = (await masters()).find((master) => master !== from);
      if (!to) throw new Error('There is no other master.');
      const slot = String(await askRedis(from.port, 'CLUSTER', 'KEYSLOT', `{lock:${key}}`));
      const id = async ({ port }: RedisServer) => String(await askRedis(port, 'CLUSTER', 'MYID'));
      await askRedis(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await id(from));
      await askRedis(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', await id(to));
      // Longer than the lease, and with the lock's keys now here, now there.
      const moveAll = () =>
        eventually('the slot is empty', async () => {
          const left = (await askRedis(from.port, 'CLUSTER', 'GETKEYSINSLOT', slot, '10')) as string[];
          for (const name of left) {
            await askRedis(from.port, 'MIGRATE', to.host, `${to.port}`, name, '0', '1000');
            await sleep(600);
          }
          return left.length === 0;
        });
      await moveAll();
      expect(lock.held).toBe(true);
      const owner = await id(to);
      for (const { port } of [to, from, ...(await masters())])
        await askRedis(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', owner);
      await eventually(
        'the lock is renewed at its new place',
        async () => (await first.inspect(key)).holders[0]?.owner === lock.owner,
      );
      expect(lock.held).toBe(true);
      // Who cannot be reached just then is passed over, so both have to listen there before.
      await eventually('both listen at the new place', async () => {
        const channels = (await askRedis(to.port, 'PUBSUB', 'SHARDCHANNELS')) as string[];
        const inSlot = await Promise.all(
          channels.map(async (name) => String(await askRedis(to.port, 'CLUSTER', 'KEYSLOT', name)) === slot),
        );
        return [second, third].every(({ instance }) =>
          channels.some((name, i) => inSlot[i] && name.endsWith(instance)),
        );
      });
      const releasedAt = performance.now();
      expect(await lock.release()).toBe(true);
      const tokens = await Promise.all(turns);
      expect(performance.now() - releasedAt).toBeLessThan(2_000);
      expect(served).toEqual(['second', 'third']);
      const [before = 0n, then = 0n, last = 0n] = [lock.fencingToken, ...tokens];
      expect(before < then && then < last).toBe(true);
      await load.everybodyServed();
      expect(violations(await load.stop(), { fifo: false, fencing: true })).toEqual([]);
      expect(load.errors).toEqual([]);
    },
    withinRounds(20),
  );

  it.each([
    ['6', Cluster],
    ['5', Cluster5 as unknown as typeof Cluster],
  ])("are handed over by push with a user's own client of ioredis %s, which stays open", async (_, Client) => {
    const client = new Client([...cluster.hosts]).on('error', () => undefined);
    const own = new LockEngine(redis({ client }));
    const [other] = engines as [LockEngine];
    for (let i = 0; i < 10; i++) {
      const key = `pushed ${i}`;
      const lock = await other.acquire(key);
      const turn = own.acquire(key);
      await inLine(other, key, 1);
      const releasedAt = performance.now();
      await lock.release();
      await (await turn).release();
      // Sooner than anybody looks for himself.
      expect(performance.now() - releasedAt).toBeLessThan(500);
    }
    const listeners = client.listenerCount('refresh');
    await own.close(0);
    expect(client.listenerCount('refresh')).toBe(listeners - 1);
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('are granted while their slot is on its way, also where the client knows its nodes by other addresses', async () => {
    const natMap = Object.fromEntries(
      cluster.hosts.map(({ port }) => [`127.0.0.1:${port}`, { host: 'localhost', port }]),
    );
    const client = new Cluster(
      cluster.hosts.map(({ port }) => ({ host: 'localhost', port })),
      { natMap },
    ).on('error', () => undefined);
    const engine = new LockEngine(redis({ client }));
    await engine.withLock('before', () => undefined);
    const from = await cluster.ownerOf('{lock:on its way}');
    const to = (await masters()).find((master) => master !== from);
    if (!to) throw new Error('There is no other master.');
    const stop = await startMoving('{lock:on its way}', from, to);
    const lock = await engine.acquire('on its way', { wait: '5s' });
    // Its keys are new, so they are at the place where the slot goes.
    expect(await askRedis(to.port, 'CLUSTER', 'GETKEYSINSLOT', await slotAt(to, '{lock:on its way}'), '10')).toContain(
      '{lock:on its way}',
    );
    expect(await lock.release()).toBe(true);
    await stop();
    await engine.close(0);
    client.disconnect();
  });

  it('are granted while their slot is on its way to a master that has no slot yet', async () => {
    await using newcomer = await startRedisProcess('redis-cluster', [
      ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-port', `${await freePort()}`],
    ]);
    const from = await cluster.ownerOf('{lock:to a newcomer}');
    await askRedis(newcomer.port, 'CLUSTER', 'MEET', from.host, `${from.port}`, await busPort(from));
    await eventually('the two know each other', async () => {
      const known = String(await askRedis(from.port, 'CLUSTER', 'NODES'));
      return known
        .split('\n')
        .some(
          (line) => line.includes(`:${newcomer.port}@`) && line.includes(' connected') && !line.includes('handshake'),
        );
    });
    const [engine] = engines as [LockEngine];
    await engine.withLock('before', () => undefined);
    const stop = await startMoving('{lock:to a newcomer}', from, newcomer);
    const lock = await engine.acquire('to a newcomer', { wait: '5s' });
    expect(
      await askRedis(newcomer.port, 'CLUSTER', 'GETKEYSINSLOT', await slotAt(newcomer, '{lock:to a newcomer}'), '10'),
    ).toContain('{lock:to a newcomer}');
    expect(await lock.release()).toBe(true);
    await stop();
    const id = String(await askRedis(newcomer.port, 'CLUSTER', 'MYID'));
    for (const { port } of cluster.nodes) await askRedis(port, 'CLUSTER', 'FORGET', id);
  });
});

const slotAt = async ({ port }: RedisServer, key: string): Promise<string> =>
  String(await askRedis(port, 'CLUSTER', 'KEYSLOT', key));

/** Where a node speaks to other nodes. */
async function busPort({ port }: RedisServer): Promise<string> {
  const nodes = String(await askRedis(port, 'CLUSTER', 'NODES'));
  return /@(\d+)[^\n]*myself/.exec(nodes)?.[1] ?? '';
}
