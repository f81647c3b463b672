import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { ServerProcess } from './process.js';
import { askRedis, type RedisServer, startRedisProcess } from './redis.js';

const group = 'mymaster';

export interface RedisSentinel extends AsyncDisposable {
  /** The name that the sentinels know the pair by. */
  readonly name: string;
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  /** As started; after a fail-over they have changed roles. */
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  /** The one that the sentinels call primary now. */
  currentPrimary(): Promise<RedisServer>;
  /** Resolves when one is primary and the other one follows it. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisSentinelOptions {
  /** How long a primary may be silent before the sentinels fail it over. */
  readonly downAfterMs?: number;
}

/** A primary, a replica and three sentinels. */
export async function startRedisSentinel({ downAfterMs = 500 }: RedisSentinelOptions = {}): Promise<RedisSentinel> {
  const processes: ServerProcess[] = [];
  const started = <T extends ServerProcess>(server: T): T => {
    processes.push(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((server) => server.stop()));
  };
  try {
    // Without the delay of 0 a replica waits 5 s for company before its first sync.
    const primary = started(await startRedisProcess('redis-primary', ['--repl-diskless-sync-delay', '0']));
    const replicaArgs = ['--repl-diskless-sync-delay', '0', '--replicaof', primary.host, `${primary.port}`];
    const replica = started(await startRedisProcess('redis-replica', replicaArgs));
    const ready = async (): Promise<void> => {
      await eventually('one follows the other', async () => {
        const states = await Promise.all([primary, replica].map(({ port }) => askRedis(port, 'INFO', 'replication')));
        return (
          states.some((state) => String(state).includes('master_link_status:up')) &&
          states.some((state) => String(state).includes('state=online'))
        );
      });
    };
    await ready();

    const ports = [await freePort(), await freePort(), await freePort()];
    for (const port of ports) started(await startSentinel(port, primary.port, downAfterMs));
    await eventually('the sentinels know each other and the replica', async () => {
      const states = await Promise.all(ports.map((port) => stateOf(port)));
      return states.every((state) => state['num-other-sentinels'] === '2' && state['num-slaves'] === '1');
    });

    return {
      name: group,
      sentinels: ports.map((port) => ({ host: '127.0.0.1', port })),
      primary,
      replica,
      currentPrimary: () =>
        eventually('a primary', async () => {
          const states = await Promise.allSettled(ports.map((port) => stateOf(port)));
          const named = states.flatMap((state) => (state.status === 'fulfilled' ? [Number(state.value['port'])] : []));
          return [primary, replica].find(({ port }) => named.filter((each) => each === port).length >= 2);
        }),
      ready,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startSentinel(port: number, primaryPort: number, downAfterMs: number): Promise<ServerProcess> {
  return ServerProcess.start({
    name: 'redis-sentinel',
    command: 'redis-server',
    args: (dataDir) => [join(dataDir, 'sentinel.conf'), '--sentinel'],
    // Sentinels write what they learn into their own configuration file.
    prepare: (dataDir) =>
      writeFileSync(
        join(dataDir, 'sentinel.conf'),
        [
          `port ${port}`,
          'bind 127.0.0.1',
          `dir ${dataDir}`,
          `sentinel monitor ${group} 127.0.0.1 ${primaryPort} 2`,
          `sentinel down-after-milliseconds ${group} ${downAfterMs}`,
          `sentinel failover-timeout ${group} 3000`,
          `sentinel parallel-syncs ${group} 1`,
        ].join('\n'),
      ),
    ready: async () => (await askRedis(port, 'PING')) === 'PONG',
  });
}

async function stateOf(sentinelPort: number): Promise<Record<string, string>> {
  const answer = (await askRedis(sentinelPort, 'SENTINEL', 'MASTER', group)) as string[];
  return Object.fromEntries(answer.flatMap((name, i) => (i % 2 === 0 ? [[name, answer[i + 1] ?? '']] : [])));
}
