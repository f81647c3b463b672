import { consul } from '../../lib/backends/consul/index.js';
import type { BackendFixture } from '../../lib/testing/index.js';
import { ask, type ConsulServer } from '../servers/consul.js';
import { eventually } from '../servers/eventually.js';
import type { ServerControl } from '../servers/process.js';
import { type CuttableProxy, startProxy } from '../servers/proxy.js';

const ROOT = 'nestjs-distributed-lock/';

export interface Members {
  readonly members: readonly ConsulServer[];
  stop(): Promise<void>;
}

/** Everything goes through proxies, so that connections can be cut. */
export function consulFixture<M extends Members>(
  start: () => Promise<M>,
  failover: (cluster: M) => Promise<unknown>,
): BackendFixture {
  let cluster: M;
  let proxies: CuttableProxy[];
  const each = (work: (member: ServerControl) => unknown) => Promise.all(cluster.members.map(work));
  const admin = (method: 'GET' | 'PUT' | 'DELETE', path: string): Promise<unknown> =>
    ask(cluster.members[0]?.url ?? '', method, path);
  const keys = async (): Promise<string[]> => {
    const found = await admin('GET', `/v1/kv/${ROOT}?keys`).catch((error: Error) => {
      if (error.message.startsWith('404')) return [];
      throw error;
    });
    return found as string[];
  };
  return {
    async start() {
      cluster = await start();
      proxies = await Promise.all(cluster.members.map(({ url }) => startProxy(url)));
    },
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await cluster.stop();
    },
    create: () => consul({ url: proxies.map(({ host }) => `http://${host}`), sessionTtlMin: '1s' }),
    // A shorter one is lost where other work starves these servers for a second.
    ttl: 1_500,
    faults: {
      async steal(fullKey) {
        await admin('DELETE', `/v1/kv/${ROOT}${encodeURIComponent(fullKey)}/?recurse`);
      },
      async pause() {
        await each((member) => member.pause());
      },
      async resume() {
        await each((member) => member.resume());
      },
      async restart(options) {
        await each((member) => member.kill());
        await each((member) => member.restart(options));
        await eventually('the cluster answers', () => admin('PUT', '/v1/kv/ready').then(() => true), {
          within: 30_000,
        });
        await admin('DELETE', '/v1/kv/ready');
      },
      async cutConnections() {
        for (const proxy of proxies) proxy.cut();
      },
      async failover() {
        await failover(cluster);
      },
      // The guard of a session ends with it, at the latest by itself.
      residue: async () => (await keys()).filter((key) => !key.startsWith(`${ROOT}.sessions/`)),
    },
  };
}
