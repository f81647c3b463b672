/**
 * What our locks cost on ZooKeeper and on Consul, beside the least that each can do: a raw pair of writes and a raw watch by the same
 * client on the same server, taken in turns within one run. `npm run bench -- --backend zookeeper`, or `consul`.
 */
import { loadavg } from 'node:os';
import type { ConsulClient as RawConsul } from '../lib/backends/consul/client.js';
import type { consul as consulBackend } from '../lib/backends/consul/index.js';
import type { ZooKeeperClient as RawZooKeeper } from '../lib/backends/zookeeper/client/index.js';
import type * as zooKeeperRequests from '../lib/backends/zookeeper/client/requests.js';
import type { zookeeper as zookeeperBackend } from '../lib/backends/zookeeper/index.js';
import type { LockEngine as Engine } from '../lib/engine/engine.js';
import type { LockBackend } from '../lib/backends/backend.js';
import { startConsul, startConsulCluster } from '../test/servers/consul.js';
import { startZooKeeper, startZooKeeperEnsemble } from '../test/servers/zookeeper.js';
import { buildIfStale, importBuilt } from './built.js';
import { handOver, pause } from './hand-over.js';
import { compete, HEAD, row, time } from './paired.js';
import { markdown } from './report/table.js';

const LIMITS = { pair: 1.2, handOver: 1.2 };

/** The least that a server can do for one key. */
interface Raw {
  /** Takes the key and gives it back: two writes. */
  pair(key: string): Promise<unknown>;
  /** Milliseconds from the write that gives a taken key back until another connection has heard of it. */
  handOver(key: string): Promise<number>;
  close(): Promise<unknown>;
}

interface Kind {
  start(size: 1 | 3): Promise<readonly { readonly host: string; stop(): Promise<void> }[]>;
  backend(host: string): LockBackend;
  raw(host: string): Promise<Raw>;
}

async function zookeeperKind(): Promise<Kind> {
  const { zookeeper } = await importBuilt<{ zookeeper: typeof zookeeperBackend }>('backends/zookeeper/index.js');
  const { ZooKeeperClient } = await importBuilt<{ ZooKeeperClient: typeof RawZooKeeper }>(
    'backends/zookeeper/client/index.js',
  );
  const requests = await importBuilt<typeof zooKeeperRequests>('backends/zookeeper/client/requests.js');
  return {
    start: async (size) =>
      size === 1 ? [await startZooKeeper({ own: true })] : (await startZooKeeperEnsemble(size)).members,
    backend: (host) => zookeeper({ connect: host }),
    async raw(host) {
      const [name = '', port] = host.split(':');
      const open = async () => {
        const hosts = [{ host: name, port: Number(port) }];
        const client = new ZooKeeperClient({ hosts, chroot: '', sessionTimeout: 60_000 });
        await client.ready();
        return client;
      };
      const [client, other] = [await open(), await open()];
      const taken = async (key: string): Promise<string> => {
        const folder = `/raw-${key}`;
        await client.ask(requests.create(folder, 'container', 'everybody'));
        return folder;
      };
      const place = async (folder: string): Promise<string> =>
        (await client.ask(requests.create(`${folder}/place-`, 'ephemeral sequential', 'everybody'))).value.path;
      const only = await taken(`pairs-${port}`);
      return {
        pair: async () => client.ask(requests.remove(await place(only))),
        async handOver(key) {
          const path = await place(await taken(key));
          const heard = new Promise<void>((resolve) => {
            void other.ask(requests.get(path, true), { happened: () => resolve() });
          });
          await pause();
          return time(() => Promise.all([client.ask(requests.remove(path)), heard]));
        },
        close: () => Promise.all([client.close(), other.close()]),
      };
    },
  };
}

async function consulKind(): Promise<Kind> {
  const { consul } = await importBuilt<{ consul: typeof consulBackend }>('backends/consul/index.js');
  const { ConsulClient } = await importBuilt<{ ConsulClient: typeof RawConsul }>('backends/consul/client.js');
  return {
    start: async (size) => (size === 1 ? [await startConsul({ own: true })] : (await startConsulCluster(size)).members),
    backend: (host) => consul({ url: `http://${host}` }),
    async raw(host) {
      const open = () =>
        new ConsulClient({
          urls: [new URL(`http://${host}`)],
          token: undefined,
          datacenter: undefined,
          tls: undefined,
          patience: 2_000,
          connections: 16,
          watches: 96,
        });
      const [client, other] = [open(), open()];
      const body = { TTL: '60s', Behavior: 'delete', LockDelay: '0s', NodeChecks: [], Checks: [] };
      const { text } = await client.ask(() => ({ method: 'PUT', path: '/session/create', body }));
      const { ID: session } = JSON.parse(text) as { ID: string };
      const write = (KV: object) => client.ask(() => ({ method: 'PUT', path: '/txn', body: [{ KV }] }));
      const take = (Key: string) => write({ Verb: 'lock', Key, Value: '', Session: session });
      const give = (Key: string) => write({ Verb: 'delete', Key });
      return {
        async pair(key) {
          await take(`raw/${key}`);
          await give(`raw/${key}`);
        },
        async handOver(key) {
          const { text } = await take(`raw/${key}`);
          const { Results } = JSON.parse(text) as { Results: { KV: { ModifyIndex: number } }[] };
          const query = { index: `${Results[0]?.KV.ModifyIndex}` };
          const { signal } = new AbortController();
          const heard = other.wait({ method: 'GET', path: `/kv/raw/${key}`, query, waitMs: 10_000, signal });
          await pause();
          return time(() => Promise.all([give(`raw/${key}`), heard]));
        },
        async close() {
          await client.ask(() => ({ method: 'PUT', path: `/session/destroy/${session}` }));
          client.close();
          other.close();
        },
      };
    },
  };
}

export async function run(
  name: 'zookeeper' | 'consul',
  options: { readonly effort?: 'quick' | 'full' | 'long'; readonly rounds?: number | undefined } = {},
): Promise<void> {
  buildIfStale();
  const { LockEngine } = await importBuilt<{ LockEngine: typeof Engine }>('engine/engine.js');
  const kind = await (name === 'zookeeper' ? zookeeperKind() : consulKind());
  const bursts = options.rounds ?? (options.effort === 'quick' ? 10 : 50);
  const rows: string[][] = [];
  for (const size of [1, 3] as const) {
    const members = await kind.start(size);
    const title = size === 1 ? 'one server' : 'three servers';
    const pairs = { floor: [] as number[], ours: [] as number[] };
    const handOvers = { floor: [] as number[], ours: [] as number[] };
    for (const { host } of members) {
      const raw = await kind.raw(host);
      const [engine, other] = [new LockEngine(kind.backend(host)), new LockEngine(kind.backend(host))];
      let count = 0;
      const share = Math.ceil(bursts / members.length);
      const pair = await compete(
        {
          floor: () => time(() => raw.pair('pair')),
          ours: () => time(async () => (await engine.acquire('pair')).release()),
        },
        share,
      );
      const taken = await compete(
        {
          floor: () => raw.handOver(`${host}-${++count}`),
          ours: () => handOver(engine, other, `ours:${host}:${++count}`),
        },
        share,
      );
      for (const each of ['floor', 'ours'] as const) {
        pairs[each].push(...pair[each]);
        handOvers[each].push(...taken[each]);
      }
      await Promise.all([engine.close(0), other.close(0), raw.close()]);
    }
    rows.push(
      row(`acquire + release, ${title}`, pairs, LIMITS.pair),
      row(`hand-over, ${title}`, handOvers, LIMITS.handOver),
    );
    await Promise.all(members.map((member) => member.stop()));
  }
  const load = loadavg().map((each) => each.toFixed(1));
  console.log(`${name}, Node ${process.version}, load ${load.join(' ')}\n`);
  console.log(markdown([...HEAD], rows));
}
