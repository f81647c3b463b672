import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { askRedis, type RedisServer, startRedisProcess } from './redis.js';

export interface RedisCluster extends AsyncDisposable {
  /** The masters first, then their replicas; each can be frozen, killed and restarted by itself. */
  readonly nodes: readonly RedisServer[];
  /** What a cluster client takes to find the nodes. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** The master that has the slot of this key, as the first node that answers sees it. */
  ownerOf(key: string): Promise<RedisServer>;
  /** Resolves when every node serves its slots, or follows its master. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Puts a slot on its way, so that its keys are asked for with ASK, and leaves it there. Resolves to how to end that. */
export async function startMoving(key: string, from: RedisServer, to: RedisServer): Promise<() => Promise<void>> {
  const slot = String(await askRedis(from.port, 'CLUSTER', 'KEYSLOT', key));
  const id = async ({ port }: RedisServer): Promise<string> => String(await askRedis(port, 'CLUSTER', 'MYID'));
  await askRedis(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await id(from));
  await askRedis(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', await id(to));
  return async () => {
    for (const { port } of [from, to]) await askRedis(port, 'CLUSTER', 'SETSLOT', slot, 'STABLE');
  };
}

export interface RedisClusterOptions {
  readonly replicas?: number;
  /** How long a node may be silent before the others count it as dead, and fail it over if it has a replica. */
  readonly nodeTimeoutMs?: number;
  /** More arguments for redis-server; the last of a name wins. */
  readonly args?: readonly string[];
}

/** Three masters, each with so many replicas. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { replicas = 0, nodeTimeoutMs = 1_000, args: more = [] } = options;
  const nodes: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    for (let i = 0; i < 3 * (1 + replicas); i++) {
      const args = [
        '--cluster-enabled',
        'yes',
        '--cluster-node-timeout',
        `${nodeTimeoutMs}`,
        '--cluster-port',
        `${await freePort()}`,
      ];
      nodes.push(await startRedisProcess('redis-cluster', [...args, '--repl-diskless-sync-delay', '0', ...more]));
    }
    const hosts = nodes.map(({ host, port }) => ({ host, port }));
    await promisify(execFile)('redis-cli', [
      ...['--cluster', 'create', ...hosts.map(({ host, port }) => `${host}:${port}`)],
      ...['--cluster-replicas', `${replicas}`, '--cluster-yes'],
    ]);
    const ready = async (): Promise<void> => {
      await Promise.all(nodes.map(({ port }) => eventually(`cluster node ${port} is ready`, () => isReady(port))));
    };
    await ready();
    return {
      nodes,
      hosts,
      ownerOf: (key) => ownerOf(key, nodes),
      ready,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A replica that has not synced yet would never take over. */
async function isReady(port: number): Promise<boolean> {
  const cluster = String(await askRedis(port, 'CLUSTER', 'INFO'));
  const replication = String(await askRedis(port, 'INFO', 'replication'));
  return (
    cluster.includes('cluster_state:ok') &&
    (replication.includes('role:master') || replication.includes('master_link_status:up'))
  );
}

async function ownerOf(key: string, nodes: readonly RedisServer[]): Promise<RedisServer> {
  return eventually(`an owner of ${key}`, async () => {
    const { slot, ranges } = await Promise.any(
      nodes.map(async ({ port }) => ({
        slot: Number(await askRedis(port, 'CLUSTER', 'KEYSLOT', key)),
        ranges: (await askRedis(port, 'CLUSTER', 'SLOTS')) as [from: number, to: number, master: [string, number]][],
      })),
    );
    const range = ranges.find(([from, to]) => from <= slot && slot <= to);
    return nodes.find(({ port }) => port === range?.[2][1]);
  });
}
