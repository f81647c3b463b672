/**
 * What our locks cost on PostgreSQL and MariaDB, beside the least that each can do, taken in turns within one run. Commits wait for a
 * real disk. `npm run bench -- --backend postgres|mysql`.
 */
import { loadavg } from 'node:os';
import { createPool } from 'mysql2/promise';
import { Client, Pool } from 'pg';
import type { mysql as mysqlBackend } from '../lib/backends/mysql/index.js';
import type { postgres as postgresBackend } from '../lib/backends/postgres/index.js';
import type { LockEngine as Engine } from '../lib/engine/engine.js';
import { startMariadb } from '../test/servers/mariadb.js';
import { startPostgres } from '../test/servers/postgres.js';
import { buildIfStale, importBuilt } from './built.js';
import { handOver, pause } from './hand-over.js';
import { compete, HEAD, row, time } from './paired.js';
import { median, percentile } from './report/statistics.js';
import { markdown, round } from './report/table.js';

interface SqlBenchOptions {
  readonly effort?: 'quick' | 'full' | 'long';
  readonly rounds?: number | undefined;
}

/** A database with the locks of any number of processes on it, and what it takes at least. */
interface Stage {
  readonly limits: { readonly pair: number; readonly handOver: number };
  /** What a hand-over is held against. */
  readonly against: string;
  engine(): Engine;
  /** One durable insert and one delete. */
  pair(key: string): Promise<unknown>;
  /** Milliseconds until somebody else knows. It comes out of the same pause as a hand-over. */
  handOver(): Promise<number>;
  /** The same with one commit that waits for the disk, where the hand-over above has none. */
  durableHandOver?(): Promise<number>;
  stop(): Promise<void>;
}

type Make = (LockEngine: typeof Engine) => Promise<Stage>;

const onPostgres: Make = async (LockEngine) => {
  const { postgres } = await importBuilt<{ postgres: typeof postgresBackend }>('backends/postgres/index.js');
  const server = await startPostgres({ own: true, durable: true, onDisk: true });
  const pool = new Pool({ connectionString: server.url, max: 16 });
  await pool.query('create table raw (key text primary key, owner text)');
  await pool.query(`insert into raw values ('handed', 'nobody')`);
  const heard = new Map<string, () => void>();
  const [here, there] = await Promise.all(
    ['here', 'there'].map(async (channel) => {
      const client = new Client({ connectionString: server.url });
      await client.connect();
      await client.query(`listen ${channel}`);
      client.on('notification', () => heard.get(channel)?.());
      return client;
    }),
  );
  heard.set('there', () => void pool.query(`select pg_notify('here', '')`));
  return {
    limits: { pair: 1, handOver: 1.2 },
    against: 'a NOTIFY there and back',
    engine: () => new LockEngine(postgres({ pool })),
    async pair(key) {
      await pool.query('insert into raw values ($1, $2)', [key, 'owner']);
      await pool.query('delete from raw where key = $1', [key]);
    },
    async handOver() {
      await pause();
      return time(async () => {
        const back = new Promise<void>((resolve) => heard.set('here', resolve));
        await pool.query(`select pg_notify('there', '')`);
        await back;
      });
    },
    async durableHandOver() {
      await pause();
      return time(async () => {
        const told = new Promise<void>((resolve) => heard.set('here', resolve));
        await pool.query(
          `with handed as (update raw set owner = owner || '' where key = 'handed' returning owner) select pg_notify('here', owner) from handed`,
        );
        await told;
      });
    },
    async stop() {
      await Promise.all([here?.end(), there?.end(), pool.end()]);
      await server.stop();
    },
  };
};

const POLL_MS = 10;

const onMariadb: Make = async (LockEngine) => {
  const { mysql } = await importBuilt<{ mysql: typeof mysqlBackend }>('backends/mysql/index.js');
  const server = await startMariadb({ own: true, durable: true, onDisk: true });
  const pool = createPool({ uri: server.uri, connectionLimit: 16 });
  await pool.query('create table raw (name varchar(99) primary key, owner varchar(99))');
  let count = 0;
  const insert = (key: string): Promise<boolean> =>
    pool
      .query('insert ignore into raw values (?, ?)', [key, 'owner'])
      .then(([result]) => Reflect.get(result, 'affectedRows') === 1);
  const remove = (key: string): Promise<unknown> => pool.query('delete from raw where name = ?', [key]);
  return {
    // Four times as fast as one that asks every few milliseconds.
    limits: { pair: 1.3, handOver: 0.25 },
    against: `asking every ${POLL_MS} ms`,
    engine: () => new LockEngine(mysql({ pool })),
    async pair(key) {
      await insert(key);
      await remove(key);
    },
    async handOver() {
      const key = `polled ${++count}`;
      await insert(key);
      const asking = (async () => {
        while (!(await insert(key))) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      })();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * POLL_MS));
      return time(async () => {
        await remove(key);
        await asking;
      });
    },
    async stop() {
      await pool.end();
      await server.stop();
    },
  };
};

export async function run(backend: 'postgres' | 'mysql', options: SqlBenchOptions = {}): Promise<void> {
  buildIfStale();
  const { LockEngine } = await importBuilt<{ LockEngine: typeof Engine }>('engine/engine.js');
  const bursts = options.rounds ?? (options.effort === 'quick' ? 5 : 25);
  const stage = await (backend === 'postgres' ? onPostgres : onMariadb)(LockEngine);
  const [one, other] = [stage.engine(), stage.engine()];
  await Promise.all([one.ping(), other.ping()]);
  let count = 0;
  const rows: string[][] = [];

  const pairs = await compete(
    {
      floor: () => time(() => stage.pair(`raw:${++count}`)),
      ours: () => time(async () => (await one.acquire(`ours:${count % 500}`)).release()),
    },
    bursts,
  );
  rows.push(row('acquire + release, durable, beside insert + delete', pairs, stage.limits.pair));

  const handOvers = await compete(
    {
      floor: () => stage.handOver(),
      ours: () => handOver(one, other, `handed:${++count % 500}`),
    },
    Math.ceil(bursts / 2),
  );
  rows.push(row(`hand-over between two processes, beside ${stage.against}`, handOvers, stage.limits.handOver));

  const { durableHandOver } = stage;
  if (durableHandOver) {
    const durable = await compete(
      { floor: () => durableHandOver(), ours: () => handOver(one, other, `handed:${++count % 500}`) },
      Math.ceil(bursts / 2),
    );
    rows.push(row('hand-over between two processes, beside a durable update that is told by NOTIFY', durable, 1));
  }

  console.log(
    `Node ${process.version}, load ${loadavg()
      .map((load) => round(load, 1))
      .join(' ')}\n`,
  );
  console.log(markdown([...HEAD], rows));

  const lines: string[][] = [];
  for (const waiters of options.effort === 'quick' ? [100] : [10, 250, 1_000]) {
    const gaps = await drain(one, other, waiters);
    lines.push([`${waiters}`, round(median(gaps), 2), round(percentile(gaps, 0.99), 2)]);
  }
  console.log(markdown(['waiters of two processes by turns', 'hand-over p50, ms', 'p99'], lines));
  await Promise.all([one.close(0), other.close(0)]);
  await stage.stop();
}

/** Milliseconds from each release to the next grant, in a line in which two processes stand by turns. */
async function drain(one: Engine, other: Engine, waiters: number): Promise<number[]> {
  const key = `line of ${waiters}`;
  const first = await one.acquire(key, { ttl: '2m' });
  const gaps: number[] = [];
  let releasedAt = 0;
  const turns: Promise<void>[] = [];
  for (let i = 0; i < waiters; i++) {
    const engine = i % 2 ? one : other;
    turns.push(
      engine.acquire(key, { wait: '2m' }).then(async (lock) => {
        gaps.push(performance.now() - releasedAt);
        releasedAt = performance.now();
        await lock.release();
      }),
    );
    while (first.held && (await one.inspect(key)).waiting < i + 1) await pause(1);
  }
  await pause(100);
  releasedAt = performance.now();
  await first.release();
  await Promise.all(turns);
  return gaps;
}
