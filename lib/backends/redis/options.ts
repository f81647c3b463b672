import { type Duration, toMilliseconds } from '../../engine/duration.js';
import { LockConfigurationError } from '../../engine/errors.js';
import type { LockBackend } from '../backend.js';
import { type IoredisClient, type IoredisConnection, ioredisLink, makeQuiet, ownConnection } from './ioredis.js';
import type { RedisLink } from './link.js';
import { isNodeRedis, type NodeRedisClient, nodeRedisLink } from './node-redis.js';
import { RedisBackend } from './redis.js';

/** Where the server is, for a client that is made, and closed, here. Needs `ioredis` to be installed. */
export interface RedisServer {
  /** Such as `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  readonly url?: string;
  /** @default 'localhost' */
  readonly host?: string;
  /** @default 6379 */
  readonly port?: number;
  /** A Unix socket instead of host and port. */
  readonly path?: string;
  readonly username?: string;
  readonly password?: string;
  /** @default 0 */
  readonly db?: number;
  /** Options of Node's `tls.connect`; `{}` for the defaults. */
  readonly tls?: object;
}

interface Behaviour {
  /**
   * How long a lock's fencing counter outlives its last holder. Tokens start from the server's clock in microseconds, so the
   * counter only matters while a clock may run backwards, as after a failover. 0 leaves nothing on the server.
   * @default '10m'
   */
  readonly counterTtl?: Duration;
}

export type RedisOptions = Behaviour & (({ readonly client: IoredisClient | NodeRedisClient } & { readonly [K in keyof RedisServer]?: never }) | (RedisServer & { readonly client?: never }));

/**
 * Locks on one Redis (6.2 or later) or Valkey server, or a primary found through Sentinel.
 *
 * A client that is handed in is used for commands and never closed; waiting needs one more connection, which is a duplicate of
 * it and ours. Made from options, the client is ours too.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function redis(options: RedisOptions = {}): LockBackend {
  const counterTtl = Math.ceil(toMilliseconds('counterTtl', options.counterTtl ?? '10m'));
  const { client } = options;
  if (client === undefined) return new RedisBackend(lazily(() => connect(options)), counterTtl);
  return new RedisBackend(linkOver(client), counterTtl);
}

function linkOver(client: IoredisClient | NodeRedisClient): RedisLink {
  if (isObject(client) && isNodeRedis(client)) return nodeRedisLink(client);
  if (isObject(client) && isIoredis(client)) return ioredisLink(client, () => undefined);
  throw new LockConfigurationError(
    '`redis({ client })` needs an ioredis client (`new Redis(…)`) or one connection of node-redis 5 or later (`createClient(…)`), and this is something else. ' +
      'The cluster, the pool and the Sentinel client of node-redis do not fit; those of ioredis do.',
  );
}

async function connect({ url, counterTtl: _, client: __, ...server }: RedisOptions): Promise<RedisLink> {
  const { Redis } = await import('ioredis');
  const settings = { ...ownConnection, ...server };
  const client: IoredisConnection = url === undefined ? new Redis(settings) : new Redis(url, settings);
  const latestError = makeQuiet(client);
  return ioredisLink(client, () => client.disconnect(), latestError);
}

/** A link that is opened by its first use, so that making a backend neither connects nor needs the client library. */
function lazily(open: () => Promise<RedisLink>): RedisLink {
  let opened: RedisLink | undefined;
  let opening: Promise<RedisLink> | undefined;
  const link = async (): Promise<RedisLink> => (opened ??= await (opening ??= open()));
  return {
    run: async (script, keys, args) => (opened ?? (await link())).run(script, keys, args),
    ping: async () => (await link()).ping(),
    // Only a claim that was answered gets here, so the link stands.
    listen: (channel, onMessage, onUp, onDown) => opened?.listen(channel, onMessage, onUp, onDown),
    close: async () => (await opening)?.close(),
  };
}
