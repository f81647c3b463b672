/**
 * What our locks cost on etcd, beside the least that etcd can do: a raw transaction and a raw watch by the same client library on
 * the same member, taken in turns within one run. `npm run bench -- --backend etcd`, or this file by itself.
 */
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Etcd3 } from 'etcd3';
import type { etcd as etcdBackend } from '../lib/backends/etcd/index.js';
import type { LockEngine as Engine } from '../lib/engine/engine.js';
import { startEtcd, startEtcdCluster } from '../test/servers/etcd.js';
import { buildIfStale, importBuilt } from './built.js';
import { handOver, pause } from './hand-over.js';
import { compete, HEAD, row, time } from './paired.js';
import { markdown } from './report/table.js';

interface EtcdBenchOptions {
  readonly effort?: 'quick' | 'full' | 'long';
  readonly rounds?: number | undefined;
}

const LIMITS = { pair: 1.15, handOver: 1.2 };

export async function run(options: EtcdBenchOptions = {}): Promise<void> {
  buildIfStale();
  const { etcd } = await importBuilt<{ etcd: typeof etcdBackend }>('backends/etcd/index.js');
  const { LockEngine } = await importBuilt<{ LockEngine: typeof Engine }>('engine/engine.js');
  const bursts = options.rounds ?? (options.effort === 'quick' ? 10 : 50);
  const rows: string[][] = [];

  for (const [title, start] of [
    ['one server', async () => ({ members: [await startEtcd({ own: true })] })],
    ['cluster of three', () => startEtcdCluster(3)],
  ] as const) {
    const { members } = await start();
    const pairs = { floor: [] as number[], ours: [] as number[] };
    const handOvers = { floor: [] as number[], ours: [] as number[] };
    for (const { host } of members) {
      const raw = new Etcd3({ hosts: host });
      const engine = new LockEngine(etcd({ hosts: host }));
      const other = new LockEngine(etcd({ hosts: host }));
      const { ID: lease } = await raw.leaseClient.leaseGrant({ TTL: 60 });
      let count = 0;

      const pair = await compete(
        {
          floor: () =>
            time(async () => {
              const key = Buffer.from(`raw:${++count}/owner`);
              await raw.kv.txn({
                compare: [{ key, target: 'Create', result: 'Equal', create_revision: '0' }],
                success: [{ request_put: { key, value: Buffer.from('exclusive'), lease } }],
                failure: [],
              });
              await raw.kv.deleteRange({ key });
            }),
          ours: () => {
            const key = `ours:${++count}`;
            return time(async () => (await engine.acquire(key)).release());
          },
        },
        Math.ceil(bursts / members.length),
      );
      pairs.floor.push(...pair.floor);
      pairs.ours.push(...pair.ours);

      const taken = await compete(
        {
          async floor() {
            const key = `raw:${++count}`;
            await raw.put(key).value('');
            const watcher = await raw.watch().key(key).create();
            const deleted = once(watcher, 'delete');
            await pause();
            const taken = await time(() =>
              Promise.all([raw.kv.deleteRange({ key: Buffer.from(key) }), deleted]).then(() => undefined),
            );
            await watcher.cancel();
            return taken;
          },
          ours: () => handOver(engine, other, `ours:${++count}`),
        },
        Math.ceil(bursts / members.length),
      );
      handOvers.floor.push(...taken.floor);
      handOvers.ours.push(...taken.ours);
      await engine.close(0);
      await other.close(0);
      raw.close();
    }
    rows.push(
      row(`acquire + release, ${title}`, pairs, LIMITS.pair),
      row(`hand-over, ${title}`, handOvers, LIMITS.handOver),
    );
    await Promise.all(members.map((member) => member.stop()));
  }

  console.log(
    `Node ${process.version}, load ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}\n`,
  );
  console.log(markdown([...HEAD], rows));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run();
