import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { postgres, type PostgresOptions } from '../../lib/backends/postgres/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError, LockLostError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { startSilentProxy } from '../servers/silent-proxy.js';
import { postgresProgram } from '../servers/postgres-programs.js';
import { type PgBouncer, startPgBouncer } from '../servers/pgbouncer.js';
import { askPostgres, type PostgresServer, startPostgres } from '../servers/postgres.js';
import { inLine } from './support/in-pod.js';

function engine(options: PostgresOptions): LockEngine {
  const made = new LockEngine(postgres(options));
  onTestFinished(() => made.close(0));
  return made;
}

function poolOf(url: string, options: string): Pool {
  const pool = new Pool({ connectionString: url, options });
  onTestFinished(() => pool.end());
  return pool;
}

/** Work of two processes that exclude each other, several times. */
async function excludes(one: LockEngine, other: LockEngine, key: string): Promise<void> {
  let inside = 0;
  let most = 0;
  const work = (engine: LockEngine) =>
    engine.withLock(
      key,
      async () => {
        most = Math.max(most, ++inside);
        await Promise.resolve();
        inside--;
      },
      { wait: '25s' },
    );
  await Promise.all(Array.from({ length: 20 }, (_, i) => work(i % 2 ? one : other)));
  expect(most).toBe(1);
}

describe('PostgreSQL behind a PgBouncer in transaction mode', () => {
  let server: PostgresServer;
  let bouncer: PgBouncer;
  beforeAll(async () => {
    server = await startPostgres({ own: true });
    bouncer = await startPgBouncer(server);
  });
  afterAll(async () => {
    await bouncer?.stop();
    await server?.stop();
  });

  it('pushes where `listen` leads to the server', async () => {
    const options = { connectionString: bouncer.url, listen: server.url };
    const [one, other] = [engine(options), engine(options)];
    await excludes(one, other, 'direct');
    const backend = postgres(options);
    onTestFinished(() => backend.close());
    expect(await backend.warnings?.()).toEqual([]);
    const lock = await one.acquire('pushed');
    const turn = other.acquire('pushed');
    await inLine(one, 'pushed', 1);
    await lock.release();
    await (await turn).release();
  });

  it('without `listen` it finds out that nothing arrives, says so once, and waiters ask again and again', async () => {
    const options = { connectionString: bouncer.url };
    const backend = postgres(options);
    onTestFinished(() => backend.close());
    expect(await backend.warnings?.()).toEqual([expect.stringMatching(/does not push.*Give `listen`/)]);
    const [one, other] = [engine(options), engine(options)];
    await excludes(one, other, 'deaf');
    expect(await one.inspect('deaf')).toMatchObject({ held: false, waiting: 0 });
    // Nothing that we did holds up a connection of the server for ever.
    const left = `select from pg_locks where locktype = 'advisory'`;
    await eventually('no advisory lock is left behind', async () => (await askPostgres(server.url, left)).length === 0);
  });
});

describe('A PostgreSQL with limits of its own', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ own: true });
  });
  afterAll(() => server.stop());

  it.each([
    ['statement_timeout', '-c statement_timeout=1000'],
    ['idle_in_transaction_session_timeout', '-c idle_in_transaction_session_timeout=100'],
    ['idle_session_timeout', '-c idle_session_timeout=300'],
    ['lock_timeout', '-c lock_timeout=1000'],
  ])('%s ends neither a wait nor a lock', async (name, setting) => {
    const [one, other] = [0, 1].map(() => engine({ pool: poolOf(server.url, setting) })) as [LockEngine, LockEngine];
    const lock = await one.acquire(name, { ttl: '5s' });
    const turn = other.acquire(name, { wait: '20s' });
    await inLine(one, name, 1);
    // Longer than any of the limits.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(lock.held).toBe(true);
    await lock.release();
    const next = await turn;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
    await excludes(one, other, `${name} load`);
  });
});

describe('A replica of a PostgreSQL', () => {
  it('is told of as what it is; promoted, it keeps what it had, and its tokens grow', async () => {
    await using primary = await startPostgres({ own: true });
    const holder = engine({ connectionString: primary.url });
    const lock = await holder.acquire('replicated', { ttl: '30s' });
    await using replica = await startPostgres({ own: true, follows: primary });
    const ask = (text: string) => askPostgres(replica.url, text);
    await eventually('the replica has the lock', async () => {
      const rows = await ask(`select from distributed_lock.locks where key = 'lock:replicated' and owner is not null`);
      return rows.length === 1;
    });
    const reader = engine({ connectionString: replica.url });
    await expect(reader.tryAcquire('other')).rejects.toSatisfy((error: unknown) => {
      expect(error).toBeInstanceOf(LockBackendError);
      expect(String(error)).toMatch(/this server only reads.*point the backend at the primary/);
      return true;
    });
    await primary.kill();
    await ask('select pg_promote(false)');
    await eventually('it takes writes', async () => (await ask('select pg_is_in_recovery() as r'))[0]?.['r'] === false);
    expect(await reader.tryAcquire('replicated')).toBeNull();
    await reader.forceRelease('replicated');
    const next = await reader.acquire('replicated');
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
  });

  it('that lags does not know the newest locks when it is promoted: a second holder gets in, above the first, who is told', async () => {
    await using primary = await startPostgres({ own: true });
    const address = await startSilentProxy(primary.port);
    onTestFinished(() => address.stop());
    const connectionString = primary.url.replace(`:${primary.port}`, `:${address.port}`);
    const [holder, other] = [engine({ connectionString }), engine({ connectionString })];
    await holder.ping();
    await using replica = await startPostgres({ own: true, follows: primary });
    const ask = (text: string) => askPostgres(replica.url, text);
    // From here on it hears of nothing.
    await ask(`alter system set primary_conninfo = ''`);
    await ask('select pg_reload_conf()');
    await eventually('it lags', async () => (await ask('select from pg_stat_wal_receiver')).length === 0);
    const lock = await holder.acquire('newest', { ttl: '30s' });
    await primary.kill();
    await ask('select pg_promote(false)');
    await eventually('it takes writes', async () => (await ask('select pg_is_in_recovery() as r'))[0]?.['r'] === false);
    address.moveTo(replica.port);
    const told = once(lock.signal, 'abort');
    const next = await eventually('the second one is in', () => other.acquire('newest', { wait: '10s' }));
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await told;
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(next.held).toBe(true);
    await next.release();
  });
});

describe('A dump of a PostgreSQL', () => {
  it.each([
    ['has the locks of its moment, whose keys stay closed until their leases end', [], false],
    ['without the data of the schema has none, and the tables work', ['--exclude-table-data=distributed_lock.*'], true],
  ] as const)('%s', async (_, without, free) => {
    await using server = await startPostgres({ own: true });
    const lock = await engine({ connectionString: server.url }).acquire('dumped', { ttl: 4_000 });
    const to = ['-h', server.host, '-p', `${server.port}`, '-U', 'postgres'];
    const dump = execFileSync(postgresProgram('pg_dump'), [...to, ...without, 'postgres'], { encoding: 'utf8' });
    await askPostgres(server.url, 'create database restored');
    execFileSync(postgresProgram('psql'), [...to, '-q', '-v', 'ON_ERROR_STOP=1', 'restored'], { input: dump });
    const restored = engine({ connectionString: server.url.replace(/\/postgres$/, '/restored') });
    const first = await restored.tryAcquire('dumped');
    expect(first !== null).toBe(free);
    const next = first ?? (await restored.acquire('dumped', { wait: '20s' }));
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
  });
});
