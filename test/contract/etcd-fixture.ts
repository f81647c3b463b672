import { Etcd3 } from 'etcd3';
import { etcd } from '../../lib/backends/etcd/index.js';
import type { BackendFixture } from '../../lib/testing/index.js';
import { eventually } from '../servers/eventually.js';
import type { ServerControl } from '../servers/process.js';
import { type CuttableProxy, startProxy } from '../servers/proxy.js';

interface Members {
  readonly members: readonly (ServerControl & { readonly url: string })[];
  stop(): Promise<void>;
}

/** Everything goes through proxies, so that connections can be cut. */
export function etcdFixture(
  start: () => Promise<Members>,
  more: (cluster: Members) => BackendFixture['faults'] = () => ({}),
): BackendFixture {
  let cluster: Members;
  let proxies: CuttableProxy[];
  let admin: Etcd3;
  const each = (work: (member: ServerControl) => unknown) => Promise.all(cluster.members.map(work));
  return {
    async start() {
      cluster = await start();
      proxies = await Promise.all(cluster.members.map(({ url }) => startProxy(url)));
      admin = new Etcd3({ hosts: cluster.members.map(({ url }) => url) });
      Object.assign(this.faults ?? {}, more(cluster));
    },
    async stop() {
      admin.close();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await cluster.stop();
    },
    create: () => etcd({ hosts: proxies.map(({ host }) => host) }),
    ttl: 2_000,
    faults: {
      async steal(fullKey) {
        await admin.delete().prefix(`${fullKey}/`);
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
        await eventually(
          'the cluster answers',
          () =>
            admin
              .put('ready')
              .value('')
              .then(() => true),
          { within: 30_000 },
        );
        await admin.delete().key('ready');
      },
      async cutConnections() {
        for (const proxy of proxies) proxy.cut();
      },
      async failover() {
        await cluster.members[0]?.restart();
      },
      residue: async () => admin.getAll().keys(),
    },
  };
}
