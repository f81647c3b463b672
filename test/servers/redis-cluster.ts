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
  stop(): Promise<void>;
}

/** Three masters, each with so many replicas. A dead node is failed over 1 s later if it has a replica. */
export async function startRedisCluster({ replicas = 0 } = {}): Promise<RedisCluster> {
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
        '1000',
        '--cluster-port',
        `${await freePort()}`,
      ];
      nodes.push(await startRedisProcess('redis-cluster', [...args, '--repl-diskless-sync-delay', '0']));
    }
    const hosts = nodes.map(({ host, port }) => ({ host, port }));
    await promisify(execFile)('redis-cli', [
      ...['--cluster', 'create', ...hosts.map(({ host, port }) => `${host}:${port}`)],
      ...['--cluster-replicas', `${replicas}`, '--cluster-yes'],
    ]);
    await Promise.all(nodes.map(({ port }) => eventually(`cluster node ${port} is ready`, () => isReady(port))));
    return {
      nodes,
      hosts,
      ownerOf: (key) => ownerOf(key, nodes),
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
