import { type LockBackend, memory } from 'nestjs-distributed-lock';
import { consul } from 'nestjs-distributed-lock/consul';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { mysql } from 'nestjs-distributed-lock/mysql';
import { postgres } from 'nestjs-distributed-lock/postgres';
import { redis } from 'nestjs-distributed-lock/redis';
import { redlock } from 'nestjs-distributed-lock/redlock';
import { zookeeper } from 'nestjs-distributed-lock/zookeeper';

interface Choice {
  /** What `LOCK_SERVERS` is when it is not set. */
  readonly servers: string;
  create(servers: readonly string[]): LockBackend;
}

/** One for all applications of this process. */
const here = memory();

const first = ([server = '']: readonly string[]): string => server;

/** What `LOCK_BACKEND` may be. The packages of the others need not be installed. */
const choices = {
  memory: { servers: '', create: () => here },
  redis: { servers: 'redis://localhost:6379', create: (servers) => redis({ url: first(servers) }) },
  redlock: {
    servers: 'redis://localhost:6379,redis://localhost:6380,redis://localhost:6381',
    create: (servers) => redlock({ urls: servers, fencing: true }),
  },
  etcd: { servers: 'localhost:2379', create: (servers) => etcd({ hosts: servers }) },
  zookeeper: { servers: 'localhost:2181', create: (servers) => zookeeper({ connect: servers.join() }) },
  consul: { servers: 'http://localhost:8500', create: (servers) => consul({ url: servers }) },
  postgres: {
    servers: 'postgres://postgres@localhost:5432/postgres',
    create: (servers) => postgres({ connectionString: first(servers) }),
  },
  mysql: { servers: 'mysql://root@localhost:3306/app', create: (servers) => mysql({ uri: first(servers) }) },
} satisfies Record<string, Choice>;

/** What `LOCK_BACKEND` may be. */
export type BackendName = keyof typeof choices;

export const backendNames = Object.keys(choices) as readonly BackendName[];

/**
 * The backend that the environment names: `LOCK_BACKEND`, and its servers in `LOCK_SERVERS`, comma separated.
 *
 * @throws when there is no such backend: a shop that guesses would lock somewhere else than its other processes
 */
export function backendOf({ LOCK_BACKEND = 'memory', LOCK_SERVERS }: NodeJS.ProcessEnv): LockBackend {
  const name = backendNames.find((known) => known === LOCK_BACKEND);
  if (name === undefined) {
    throw new Error(`LOCK_BACKEND is ${LOCK_BACKEND}; set it to one of ${backendNames.join(', ')}.`);
  }
  const choice: Choice = choices[name];
  return choice.create((LOCK_SERVERS ?? choice.servers).split(',').map((server) => server.trim()));
}
