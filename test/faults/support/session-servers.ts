import { consul } from '../../../lib/backends/consul/index.js';
import { etcd } from '../../../lib/backends/etcd/index.js';
import type { LockBackend } from '../../../lib/backends/backend.js';
import { zookeeper } from '../../../lib/backends/zookeeper/index.js';
import * as requests from '../../../lib/backends/zookeeper/client/requests.js';
import { below, withClient } from '../../contract/zookeeper-fixture.js';
import { ask, startConsul, startConsulCluster } from '../../servers/consul.js';
import { startEtcd, startEtcdCluster } from '../../servers/etcd.js';
import type { ServerControl } from '../../servers/process.js';
import { fourLetters, startZooKeeper, startZooKeeperEnsemble } from '../../servers/zookeeper.js';
import type { PodOptions } from './pod.js';

/** One server, or several, on which locks hang from sessions. */
export interface SessionServers extends AsyncDisposable {
  readonly members: readonly SessionServer[];
  leader(): Promise<SessionServer>;
}

export interface SessionServer extends ServerControl {
  /** `host:port`. */
  readonly host: string;
}

/** A kind of server on which locks hang from sessions, and what a test needs to know of it. */
export interface SessionKind {
  readonly name: string;
  /** The longest time after its last renewal until a server ends a session, in times of its length. */
  readonly endsWithin: number;
  /** The session of the test that freezes the server for 10 s, in milliseconds: Consul's servers grant 10 s unless told otherwise. */
  readonly frozenTtl: number;
  /** The shortest session that outlives the silence of the connection it is on, in milliseconds. */
  readonly outlivesSilence: number;
  start(size?: number): Promise<SessionServers>;
  /** @param hosts those of the servers, or of proxies before them */
  backend(hosts: readonly string[]): LockBackend;
  /** For pods that use it. */
  pod(hosts: readonly string[]): PodOptions;
  /** What is left of locks at this server. */
  entries(host: string): Promise<readonly string[]>;
  /** How many sessions the server knows, those of tests left out. */
  sessions(host: string): Promise<number>;
}

type Cluster = {
  readonly members: readonly SessionServer[];
  leader(): Promise<SessionServer>;
  stop(): Promise<void>;
};

const alone = (server: SessionServer): SessionServers => ({
  members: [server],
  leader: async () => server,
  [Symbol.asyncDispose]: () => server.stop(),
});
const together = (cluster: Cluster): SessionServers => ({
  members: cluster.members,
  leader: () => cluster.leader(),
  [Symbol.asyncDispose]: () => cluster.stop(),
});

export const zooKeeperKind: SessionKind = {
  name: 'ZooKeeper',
  endsWithin: 1,
  frozenTtl: 3_000,
  outlivesSilence: 2_000,
  start: async (size = 1) =>
    size === 1 ? alone(await startZooKeeper({ own: true })) : together(await startZooKeeperEnsemble(size)),
  backend: (hosts) => zookeeper({ connect: `${hosts.join()}/locks` }),
  pod: (hosts) => ({ zookeeper: `${hosts.join()}/locks` }),
  entries: (host) =>
    withClient(host, async (client) => {
      // This server may be behind the one that was asked last.
      await client.ask(requests.sync('/'));
      const keys = await below(client, '/locks');
      return (await Promise.all(keys.map((key) => below(client, key)))).flat();
    }),
  async sessions(host) {
    return Number(/^Sessions with Ephemerals \((\d+)\)/m.exec(await fourLetters(host, 'dump'))?.[1] ?? Number.NaN);
  },
};

const CONSUL_ROOT = 'nestjs-distributed-lock/';

export const consulKind: SessionKind = {
  name: 'Consul',
  endsWithin: 2,
  frozenTtl: 10_000,
  outlivesSilence: 2_000,
  start: async (size = 1) =>
    size === 1 ? alone(await startConsul({ own: true })) : together(await startConsulCluster(size)),
  backend: (hosts) => consul({ url: hosts.map((host) => `http://${host}`), sessionTtlMin: '1s' }),
  pod: (hosts) => ({ consul: hosts.map((host) => `http://${host}`) }),
  async entries(host) {
    const found = await ask(`http://${host}`, 'GET', `/v1/kv/${CONSUL_ROOT}?keys&consistent`).catch((error: Error) => {
      if (error.message.startsWith('404')) return [];
      throw error;
    });
    // The guard of a session goes with it.
    return (found as string[]).filter((key) => !key.startsWith(`${CONSUL_ROOT}.sessions/`));
  },
  async sessions(host) {
    const all = (await ask(`http://${host}`, 'GET', '/v1/session/list?consistent')) as { Name: string }[];
    return all.filter(({ Name }) => Name === 'nestjs-distributed-lock').length;
  },
};

async function askEtcd(host: string, path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://${host}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(2_000),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

export const etcdKind: SessionKind = {
  name: 'etcd',
  endsWithin: 1,
  frozenTtl: 3_000,
  // A silent connection is noticed after 8 s: an etcd hangs up on clients that ping more often than every 5 s.
  outlivesSilence: 10_000,
  start: async (size = 1) =>
    size === 1 ? alone(await startEtcd({ own: true })) : together(await startEtcdCluster(size)),
  backend: (hosts) => etcd({ hosts: [...hosts] }),
  pod: (hosts) => ({ etcd: hosts }),
  async entries(host) {
    const { kvs = [] } = await askEtcd(host, 'kv/range', {
      key: btoa('lock:'),
      range_end: btoa('lock;'),
      keys_only: true,
    });
    return (kvs as { key: string }[]).map(({ key }) => atob(key));
  },
  async sessions(host) {
    const { leases = [] } = await askEtcd(host, 'lease/leases', {});
    return (leases as unknown[]).length;
  },
};

export const sessionKinds: readonly SessionKind[] = [zooKeeperKind, consulKind, etcdKind];
