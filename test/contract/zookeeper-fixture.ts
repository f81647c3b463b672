import { ZooKeeperClient, parseConnect } from '../../lib/backends/zookeeper/client/index.js';
import * as requests from '../../lib/backends/zookeeper/client/requests.js';
import { zookeeper, type LayoutName } from '../../lib/backends/zookeeper/index.js';
import type { BackendFixture } from '../../lib/testing/index.js';
import { eventually } from '../servers/eventually.js';
import type { ServerControl } from '../servers/process.js';
import { type CuttableProxy, startProxy } from '../servers/proxy.js';

interface Members {
  readonly members: readonly (ServerControl & { readonly url: string; readonly host: string })[];
  stop(): Promise<void>;
}

const ROOT = '/contract-tests';

/** Everything goes through proxies, so that connections can be cut. */
export function zooKeeperFixture(
  start: () => Promise<Members>,
  {
    layout = 'own',
    more = () => ({}),
  }: { layout?: LayoutName; more?: (cluster: Members) => BackendFixture['faults'] } = {},
): BackendFixture {
  let cluster: Members;
  let proxies: CuttableProxy[];
  const each = (work: (member: ServerControl) => unknown) => Promise.all(cluster.members.map(work));
  const admin = <T>(ask: (client: ZooKeeperClient) => Promise<T>): Promise<T> =>
    withClient(cluster.members.map(({ host }) => host).join(), ask);
  return {
    async start() {
      cluster = await start();
      proxies = await Promise.all(cluster.members.map(({ url }) => startProxy(url)));
      Object.assign(this.faults ?? {}, more(cluster));
    },
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await cluster.stop();
    },
    create: () => zookeeper({ connect: proxies.map(({ host }) => host).join(), chroot: ROOT, layout }),
    ttl: 2_000,
    faults: {
      steal: (fullKey) =>
        admin(async (client) => {
          for (const path of await below(client, `${ROOT}/${fullKey}`)) await client.ask(requests.remove(path));
        }),
      async pause() {
        await each((member) => member.pause());
      },
      async resume() {
        await each((member) => member.resume());
      },
      async restart(options) {
        await each((member) => member.kill());
        await each((member) => member.restart(options));
        await eventually(
          'the servers answer',
          () => admin((client) => client.ask(requests.exists('/'))).then(() => true),
          {
            within: 30_000,
          },
        );
      },
      async cutConnections() {
        for (const proxy of proxies) proxy.cut();
      },
      async failover() {
        await cluster.members[0]?.restart();
      },
      // Empty nodes of keys go by themselves.
      residue: () =>
        admin(async (client) => {
          const keys = await below(client, ROOT);
          return (await Promise.all(keys.map((key) => below(client, key)))).flat();
        }),
    },
  };
}

/** Looks at servers by a session of its own. */
export async function withClient<T>(connect: string, ask: (client: ZooKeeperClient) => Promise<T>): Promise<T> {
  const client = new ZooKeeperClient({ ...parseConnect(connect), sessionTimeout: 10_000 });
  try {
    return await ask(client);
  } finally {
    await client.close().catch(() => client.destroy());
  }
}

/** The paths of the children of a node; none when it is not there. */
export async function below(client: ZooKeeperClient, path: string): Promise<readonly string[]> {
  const { names } = await client.ask(requests.children(path)).then(
    ({ value }) => value,
    () => ({ names: [] }),
  );
  return names.map((name) => `${path}/${name}`);
}
