import { Redis } from 'ioredis';
import { elsewhere } from './elsewhere.js';
import { freePort } from './free-port.js';
import { type ServerControl, ServerProcess } from './process.js';

export interface RedisServer extends ServerControl {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface RedisOptions {
  /** A server that the test may freeze and kill, whatever `REDIS_URL` says. */
  readonly own?: boolean;
  /** More arguments for redis-server; the last of a name wins. */
  readonly args?: readonly string[];
}

/** One Redis: of our own, or the one that `REDIS_URL` names. */
export async function startRedis({ own = false, args = [] }: RedisOptions = {}): Promise<RedisServer> {
  const url = process.env['REDIS_URL'];
  if (url && !own) {
    const { hostname, port } = new URL(url);
    return elsewhere('REDIS_URL', { url, host: hostname, port: Number(port || 6379) });
  }
  return startRedisProcess('redis', args);
}

/** A redis-server process with these arguments. */
export async function startRedisProcess(name: string, args: readonly string[]): Promise<RedisServer & ServerProcess> {
  const host = '127.0.0.1';
  const port = await freePort();
  const server = await ServerProcess.start({
    name,
    command: 'redis-server',
    args: (dataDir) => [
      ...['--port', `${port}`, '--bind', host, '--dir', dataDir, '--daemonize', 'no'],
      // Written before each reply, synced never: outlives a kill, costs next to nothing.
      ...['--save', '', '--appendonly', 'yes', '--appendfsync', 'no', '--auto-aof-rewrite-percentage', '0'],
      ...args,
    ],
    ready: async () => (await askRedis(port, 'PING')) === 'PONG',
  });
  return Object.assign(server, { url: `redis://${host}:${port}`, host, port });
}

/** One command on a connection of its own, to a server that may be frozen or gone. */
export async function askRedis(port: number, command: string, ...args: string[]): Promise<unknown> {
  const client = new Redis(port, '127.0.0.1', {
    lazyConnect: true,
    connectTimeout: 1_000,
    commandTimeout: 1_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}
