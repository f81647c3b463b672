import { startConsul } from '../../test/servers/consul.js';
import { startEtcd } from '../../test/servers/etcd.js';
import { install } from '../../test/servers/install.js';
import { startMariadb } from '../../test/servers/mariadb.js';
import { startPostgres } from '../../test/servers/postgres.js';
import { startRedis } from '../../test/servers/redis.js';
import { startZooKeeper } from '../../test/servers/zookeeper.js';
import type { BackendName } from '../05-any-backend/src/backend.js';

interface Server {
  /** As `LOCK_SERVERS` names it. */
  readonly address: string;
  stop(): Promise<void>;
}

interface Servers {
  readonly name: string;
  /** As test/servers/install.ts knows them. */
  readonly programs: readonly string[];
  /** @default 1 */
  readonly count?: number;
  /** Several servers that know nothing of each other keep the order of arrival only while all processes find the same one first. @default true */
  readonly inOrder?: boolean;
  start(): Promise<Server>;
}

const redis = async (): Promise<Server> => named(await startRedis({ own: true }), ({ url }) => url);

/** Where the demo can have its locks: real servers, each started for it alone. */
const servers: Readonly<Record<Exclude<BackendName, 'memory'>, Servers>> = {
  redis: { name: 'Redis', programs: ['redis-server'], start: redis },
  redlock: { name: 'five Redis servers', programs: ['redis-server'], count: 5, inOrder: false, start: redis },
  etcd: {
    name: 'etcd',
    programs: ['etcd'],
    start: async () => named(await startEtcd({ own: true }), ({ url }) => url),
  },
  zookeeper: {
    name: 'ZooKeeper',
    programs: ['java', '/usr/share/java/zookeeper.jar'],
    start: async () => named(await startZooKeeper({ own: true }), ({ host }) => host),
  },
  consul: {
    name: 'Consul',
    programs: ['consul'],
    start: async () => named(await startConsul({ own: true }), ({ url }) => url),
  },
  postgres: {
    name: 'PostgreSQL',
    programs: ['postgres', 'initdb'],
    start: async () => named(await startPostgres({ own: true }), ({ url }) => url),
  },
  mysql: {
    name: 'MariaDB',
    programs: ['mariadbd', 'mariadb-install-db'],
    start: async () => named(await startMariadb({ own: true }), ({ uri }) => uri),
  },
};

interface Started {
  /** The value of `LOCK_SERVERS`. */
  readonly addresses: string;
  /** That in words. */
  readonly where: string;
  readonly inOrder: boolean;
}

/**
 * Starts what has the locks, and installs it if need be.
 *
 * @param closers get how to stop each server, as soon as it runs
 */
export async function startServers(backend: BackendName, closers: (() => Promise<unknown>)[]): Promise<Started> {
  if (backend === 'memory') return { addresses: '', where: 'in memory', inOrder: true };
  const { name, programs, count = 1, inOrder = true, start } = servers[backend];
  install(programs);
  const addresses: string[] = [];
  for (let number = 1; number <= count; number++) {
    const server = await start();
    closers.push(() => server.stop());
    addresses.push(server.address);
  }
  const ports = addresses.map((address) => /127\.0\.0\.1:\d+/.exec(address)?.[0] ?? address);
  return { addresses: addresses.join(), where: `on ${name} at ${ports.join(', ')}`, inOrder };
}

function named<S extends Pick<Server, 'stop'>>(server: S, addressOf: (server: S) => string): Server {
  return { address: addressOf(server), stop: () => server.stop() };
}
