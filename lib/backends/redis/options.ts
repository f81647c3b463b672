import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { clientPackage } from '../../lock/client-package.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { LockBackend } from '../backend.js';
import { connectCluster, ioredisClusterLink, isIoredisCluster, ownCluster } from './cluster.js';
import type { IoredisCluster } from './cluster-map.js';
import { type IoredisClient, ioredisLink, isIoredis } from './ioredis.js';
import type { RedisLink, Replicas, Run } from './link.js';
import { isNodeRedis, type NodeRedisClient, nodeRedisLink } from './node-redis.js';
import { RedisBackend } from './redis.js';
import { slotOf } from './slots.js';

/** Where the server is, for a client that is made, and closed, here. Needs `ioredis` to be installed. */
export interface RedisServer {
  /** Such as `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  readonly url?: string;
  /** The server's name or address. @default 'localhost' */
  readonly host?: string;
  /** The server's port. @default 6379 */
  readonly port?: number;
  /** A Unix socket instead of host and port. */
  readonly path?: string;
  /** The user of Redis's ACL. Without it, the default user. */
  readonly username?: string;
  /** Of that user. It is never printed. */
  readonly password?: string;
  /** The number of the database. A cluster has only 0. @default 0 */
  readonly db?: number;
  /** Options of Node's `tls.connect`; `{}` for the defaults. */
  readonly tls?: object;
  /** Some nodes of a Redis Cluster, to find the others by, instead of one server's address. */
  readonly cluster?: readonly { readonly host: string; readonly port: number }[];
}

interface Behaviour {
  /**
   * How long at least a lock's fencing counter outlives its last holder; it may be a quarter longer. Tokens start from the server's clock in microseconds, so the
   * counter only matters while a clock may run backwards, as after a failover. 0 leaves nothing on the server.
   * @default '10m'
   */
  readonly counterTtl?: Duration;
  /**
   * How many replicas must have a lock before `acquire` gives it out; if too few confirm it in time, it is taken back and that
   * counts as a server that did not answer. It narrows what a failover can lose to what those replicas lose as well: a replica
   * that was not among them may still be the one that is promoted, so name all of them if there may be no such gap. Costs two
   * round trips more for a lock that was waited for, one for others, and one more connection.
   * @default 0
   */
  readonly waitReplicas?: number;
  /** How long to wait for them. @default '1s' */
  readonly waitReplicasTimeout?: Duration;
}

/** Options of `redis()`: a `client` of yours, or where the server is; beside either, how locks behave. */
export type RedisOptions = Behaviour &
  (
    | ({
        /** A client of ioredis (alone, Sentinel or `Cluster`) or node-redis. It is used for commands, and never closed. */
        readonly client: IoredisClient | IoredisCluster | NodeRedisClient;
      } & {
        readonly [K in keyof RedisServer]?: never;
      })
    | (RedisServer & { readonly client?: never })
  );

const NAMES: ReadonlySet<string> = new Set([
  'url',
  'host',
  'port',
  'path',
  'username',
  'password',
  'db',
  'tls',
  'cluster',
  'client',
  'counterTtl',
  'waitReplicas',
  'waitReplicasTimeout',
]);

/** As ioredis takes it: `redis:`, `rediss:`, `unix:` or no scheme. To it that of another protocol is the path of a socket. */
const ADDRESS = /^(?:(?:rediss?|unix):\/\/\S+|(?!\w+:\/\/)\S+)$/i;

/**
 * Locks on one Redis (6.2 or later) or Valkey server, a primary found through Sentinel, or a Redis Cluster.
 *
 * A client that is handed in, of ioredis or node-redis, is used for commands and never closed; waiting needs one more
 * connection, which is a duplicate of it and ours. Made from options, the client is ours too.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function redis(options: RedisOptions = {}): LockBackend {
  return redisServer(options);
}

/** @param guardMs how long it gives no locks after it was restarted empty, in milliseconds: for one of several that decide by majority */
export function redisServer(options: RedisOptions, guardMs?: number): RedisBackend {
  checkOptionNames('redis()', options, NAMES);
  checkServer(options);
  const counterTtl = Math.ceil(toMilliseconds('counterTtl', options.counterTtl ?? '10m'));
  const replicas = replicasOf(options);
  const { client, cluster } = options;
  if (client !== undefined) checkClient(client);
  // Each application has connections of its own, also over a client that several share.
  const make = (): RedisBackend => {
    const link = client === undefined ? lazily(() => connect(options), cluster !== undefined) : linkOver(client);
    return new RedisBackend(link, counterTtl, { forApplication: make, address: addressOf(options), replicas, guardMs });
  };
  return make();
}

/** Where the server is, without user and password. */
function addressOf({ url, host, port, path, cluster, client }: RedisOptions): string | undefined {
  if (client !== undefined) return undefined;
  if (cluster) return cluster.map((node) => `${node.host}:${node.port}`).join(', ');
  if (path !== undefined) return path;
  // What stands before the last @ are user and password; what stands behind a ? may be as well.
  if (url !== undefined)
    return url
      .replace(/^\w+:\/\//, '')
      .replace(/^.*@/, '')
      .replace(/[?#].*$/, '');
  return `${host ?? 'localhost'}:${port ?? 6379}`;
}

/** What says where the server is. Not set, as from an environment that lacks it, it would be a server on this machine. */
const WHERE = ['client', 'url', 'host', 'path', 'cluster'] as const;

function checkServer(options: RedisOptions): void {
  const missing = WHERE.find((name) => name in options && options[name] === undefined);
  if (missing !== undefined) {
    throw new LockConfigurationError(
      `\`${missing}\` of redis() is undefined. Give it a value, or leave it out for the server at localhost:6379.`,
    );
  }
  const { url, cluster } = options;
  if (url !== undefined && (typeof url !== 'string' || !ADDRESS.test(url) || !isReadable(url))) {
    // Not the address itself: it may have the password in it.
    throw new LockConfigurationError(
      '`url` of redis() is no address of a Redis server. Give one such as `redis://localhost:6379`, or `rediss://` for TLS.',
    );
  }
  if (cluster?.length === 0) {
    throw new LockConfigurationError(
      '`cluster` of redis() is empty. Give some of its nodes, such as `[{ host, port: 6379 }]`.',
    );
  }
}

/** The client's own complaint about an address has all of it. */
function isReadable(url: string): boolean {
  if (!/^rediss?:/i.test(url)) return true;
  if (!URL.canParse(url)) return false;
  const { username, password } = new URL(url);
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

function replicasOf({ waitReplicas: count = 0, waitReplicasTimeout = '1s' }: RedisOptions): Replicas | undefined {
  if (!Number.isInteger(count) || count < 0)
    throw new LockConfigurationError(
      `\`waitReplicas\` is ${JSON.stringify(count)}; it is how many replicas must have a lock, a whole number from 0 up.`,
    );
  const timeoutMs = Math.ceil(toMilliseconds('waitReplicasTimeout', waitReplicasTimeout));
  // To Redis 0 means for ever.
  if (timeoutMs < 1) throw new LockConfigurationError('`waitReplicasTimeout` must be at least 1 ms.');
  return count > 0 ? { count, timeoutMs } : undefined;
}

function linkOver(client: IoredisClient | IoredisCluster | NodeRedisClient): RedisLink {
  if (isIoredisCluster(client)) return ioredisClusterLink(client, () => undefined);
  return isNodeRedis(client) ? nodeRedisLink(client) : ioredisLink(client, false);
}

function checkClient(client: unknown): void {
  if (isIoredisCluster(client) || isNodeRedis(client) || isIoredis(client)) return;
  throw new LockConfigurationError(
    '`redis({ client })` needs an ioredis client (`new Redis(…)`) or a single connection of node-redis 5 or later (`createClient(…)`), ' +
      'and this is something else. The cluster, the pool and the Sentinel client of node-redis do not fit: take ioredis there.',
  );
}

async function connect({
  url,
  cluster,
  client: _,
  counterTtl: __,
  waitReplicas: ___,
  waitReplicasTimeout: ____,
  ...server
}: RedisOptions): Promise<RedisLink> {
  const { Cluster, Redis } = await clientPackage('ioredis', 'redis({ url })', () => import('ioredis'));
  if (cluster) return connectCluster(new Cluster([...cluster], { ...ownCluster, redisOptions: server }));
  // A pattern for our connections, which is never connected itself.
  const settings = { ...server, lazyConnect: true };
  const client = url === undefined ? new Redis(settings) : new Redis(url, settings);
  return ioredisLink(client, true);
}

/** A link that is opened by its first use, so that making a backend neither connects nor needs the client library. */
function lazily(open: () => Promise<RedisLink>, cluster: boolean): RedisLink {
  let opened: RedisLink | undefined;
  let opening: Promise<RedisLink> | undefined;
  const link = async (): Promise<RedisLink> => (opened ??= await (opening ??= open()));
  return {
    run: async (script, keys, args) => (opened ?? (await link())).run(script, keys, args),
    onReplicas: (replicas) => {
      let run: Run | undefined;
      return async (script, keys, args) => {
        run ??= (opened ?? (await link())).onReplicas(replicas);
        return run(script, keys, args);
      };
    },
    call: async (...words) => (opened ?? (await link())).call(...words),
    // Only a claim that was answered gets here, so the link stands.
    listen(channel, on) {
      if (!opened) throw new Error('nothing was asked of Redis yet');
      return opened.listen(channel, on);
    },
    get keyPrefix() {
      return opened?.keyPrefix ?? '';
    },
    ...(cluster && {
      masters: async () => (await (await link()).masters?.()) ?? [],
      slotOf,
      nodeOf: (key) => opened?.nodeOf?.(key),
    }),
    close: async () => (await opening)?.close(),
  };
}
