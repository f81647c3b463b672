import type { LockBackend } from '../backends/backend.js';
import { UsageError } from './command.js';

/** A sort of lock server, as an option of the command line. */
export interface Server {
  /** What its address is called in the help, and one as an example. */
  readonly address: string;
  readonly example: string;
  /** The package that has its client, where it is not ours. */
  readonly client?: string;
  /** More options, each with what it is for. */
  readonly more?: Readonly<Record<string, string>>;
  /** Variables that may have the login, so that it need not stand among the arguments, where `ps` shows it. */
  readonly login: Readonly<Record<string, string>>;
  make(address: string, given: Given): Promise<LockBackend>;
}

export interface Given {
  /** The value of an option of `more`. */
  option(name: string): string | undefined;
  /** The value of a variable of `login`; an empty one is none. */
  env(name: string): string | undefined;
}

/** The options for where the locks are, by name. Backends, and so their clients, are loaded when they are used. */
export const servers: Readonly<Record<string, Server>> = {
  redis: {
    address: '<url>',
    example: 'redis://localhost:6379',
    client: 'ioredis',
    login: { REDISCLI_AUTH: 'the password' },
    make: (address, given) => redisAt({ url: address }, given),
  },
  'redis-cluster': {
    address: '<host:port,…>',
    example: 'node-1:6379,node-2:6379',
    client: 'ioredis',
    login: { REDISCLI_AUTH: 'the password' },
    make: async (address, given) => redisAt({ cluster: hostsAndPorts(address) }, given),
  },
  redlock: {
    address: '<url,…>',
    example: 'redis://one:6379,redis://two:6379,redis://three:6379',
    client: 'ioredis',
    login: { REDISCLI_AUTH: 'the password' },
    async make(address, { env }) {
      const { redlock } = await import('../backends/redlock/index.js');
      const password = env('REDISCLI_AUTH');
      return redlock({ urls: split(address).map((url) => withPassword(url, password)) });
    },
  },
  etcd: {
    address: '<hosts>',
    example: 'etcd-1:2379,etcd-2:2379',
    client: 'etcd3',
    login: { ETCDCTL_USER: 'the user, or `user:password`', ETCDCTL_PASSWORD: 'the password' },
    async make(address, { env }) {
      const { etcd } = await import('../backends/etcd/index.js');
      const hosts = split(address);
      const auth = loginOf(env('ETCDCTL_USER'), env('ETCDCTL_PASSWORD'));
      return etcd({
        hosts,
        ...(auth && { auth }),
        ...(hosts.some((host) => host.startsWith('https:')) && { tls: {} }),
      });
    },
  },
  consul: {
    address: '<url>',
    example: 'http://127.0.0.1:8500',
    more: { root: 'as `root` of consul()' },
    login: { CONSUL_HTTP_TOKEN: 'the token' },
    async make(address, { env, option }) {
      const { consul } = await import('../backends/consul/index.js');
      const token = env('CONSUL_HTTP_TOKEN');
      const root = option('root');
      return consul({
        url: split(address),
        ...(token !== undefined && { token }),
        ...(root !== undefined && { root }),
      });
    },
  },
  zookeeper: {
    address: '<connect>',
    example: 'zk-1:2181,zk-2:2181/my-app',
    more: { layout: 'as `layout` of zookeeper()' },
    login: { ZOOKEEPER_AUTH: '`user:password` of the scheme digest' },
    async make(address, { env, option }) {
      const { zookeeper } = await import('../backends/zookeeper/index.js');
      const auth = loginOf(env('ZOOKEEPER_AUTH'), undefined);
      // Checked there, with a message that names the ones it knows.
      const layout = option('layout') as 'own' | undefined;
      return zookeeper({ connect: address, ...(auth && { auth }), ...(layout !== undefined && { layout }) });
    },
  },
  postgres: {
    address: '<url>',
    example: 'postgres://user@localhost:5432/app',
    client: 'pg',
    more: { schema: 'as `schema` of postgres()' },
    login: { PGUSER: 'the user', PGPASSWORD: 'the password' },
    async make(address, { option }) {
      const { postgres } = await import('../backends/postgres/index.js');
      const schema = option('schema');
      // `pg` reads the variables itself.
      return postgres({ connectionString: address, max: 2, install: false, ...(schema !== undefined && { schema }) });
    },
  },
  mysql: {
    address: '<uri>',
    example: 'mysql://user@localhost:3306/app',
    client: 'mysql2',
    more: { tables: 'as `prefix` of mysql()' },
    login: { MYSQL_PWD: 'the password' },
    async make(address, { env, option }) {
      const { mysql } = await import('../backends/mysql/index.js');
      const prefix = option('tables');
      return mysql({
        uri: withPassword(address, env('MYSQL_PWD')),
        connectionLimit: 2,
        install: false,
        ...(prefix !== undefined && { prefix }),
      });
    },
  },
};

type RedisAddress = { readonly url: string } | { readonly cluster: ReturnType<typeof hostsAndPorts> };

async function redisAt(where: RedisAddress, { env }: Given): Promise<LockBackend> {
  const { redis } = await import('../backends/redis/index.js');
  const password = env('REDISCLI_AUTH');
  return redis({ ...where, ...(password !== undefined && { password }) });
}

const split = (list: string): string[] => list.split(',').map((each) => each.trim());

function hostsAndPorts(list: string): { host: string; port: number }[] {
  return split(list).map((each) => {
    const [, host = '', port] = /^\[?(\S+?)\]?:(\d+)$/.exec(each) ?? [];
    if (port === undefined)
      throw new UsageError('`--redis-cluster` needs some nodes, such as `node-1:6379,node-2:6379`.');
    return { host, port: Number(port) };
  });
}

function loginOf(user: string | undefined, password: string | undefined) {
  if (user === undefined) return undefined;
  const [username = '', ...rest] = user.split(':');
  return { username, password: password ?? rest.join(':') };
}

/** The one in the address goes first. */
function withPassword(address: string, password: string | undefined): string {
  if (password === undefined || !URL.canParse(address)) return address;
  const url = new URL(address);
  if (url.password === '') url.password = encodeURIComponent(password);
  return url.href;
}
