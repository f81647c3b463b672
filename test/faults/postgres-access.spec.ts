import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { KeyBackend, ListPage } from '../../lib/backends/backend.js';
import {
  postgres,
  type PostgresOptions,
  postgresSchemaSql,
  withLockInTransaction,
} from '../../lib/backends/postgres/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError } from '../../lib/lock/errors.js';
import { askPostgres, type PostgresServer, startPostgres } from '../servers/postgres.js';

describe('PostgreSQL', () => {
  let server: PostgresServer;
  const endings: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await startPostgres({ own: true });
    await askPostgres(server.url, `create role app login password 'secret'`);
  });
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });
  afterAll(() => server.stop());

  const ask = (text: string) => askPostgres(server.url, text);
  const as = (user: string) => server.url.replace('postgres@', `${user}@`);

  function engine(options: PostgresOptions): LockEngine {
    const made = new LockEngine(postgres(options), { callTimeout: '20s' });
    endings.push(() => made.close(0));
    return made;
  }
  function pool(options: object = {}): Pool {
    const made = new Pool({ connectionString: server.url, ...options });
    endings.push(() => made.end());
    return made;
  }
  const refused = (work: Promise<unknown>, message: RegExp) =>
    expect(work).rejects.toSatisfy((error: unknown) => {
      expect(error).toBeInstanceOf(LockBackendError);
      expect((error as Error).message).toMatch(message);
      return true;
    });

  it('tells a wrong password', async () => {
    await refused(
      engine({ connectionString: as('app:wrong') }).ping(),
      /password authentication failed.*refused the user or the password/,
    );
  });

  it('tells that the role may not create the tables, and works for it after a migration and the grants of the page', async () => {
    const schema = 'migrated';
    const options = { connectionString: as('app:secret'), schema };
    await refused(engine(options).ping(), /permission denied.*postgres --sql/);
    await refused(
      engine({ ...options, install: false }).ping(),
      /`install: false` forbids to create them.*postgres --sql/,
    );
    await ask(postgresSchemaSql({ schema }));
    await ask(postgresSchemaSql({ schema }));
    await ask(`grant usage on schema ${schema} to app`);
    await refused(engine({ ...options, install: false }).ping(), /permission denied/);
    await ask(`grant select, insert, update, delete on all tables in schema ${schema} to app`);
    const [first, second] = [engine({ ...options, install: false }), engine({ ...options, install: false })];
    const lock = await first.acquire('stock');
    const next = second.acquire('stock');
    await lock.release();
    await (await next).release();
  });

  it('refuses tables of a newer version that it cannot share', async () => {
    const schema = 'newer';
    await ask(postgresSchemaSql({ schema }));
    await ask(`insert into ${schema}.version values (1000, 999)`);
    await refused(
      engine({ connectionString: server.url, schema }).ping(),
      /version 1000.*cannot share; update the package/,
    );
  });

  it('old and new functions of the same tables exclude each other, as during a rolling deploy', async () => {
    const schema = 'rolling';
    const old = engine({ connectionString: server.url, schema });
    const lock = await old.acquire('deploy');
    // What a release installs whose functions have another version, beside these.
    await ask(postgresSchemaSql({ schema }).replaceAll('_v1(', '_v2('));
    const answer = async () => {
      const call = `${schema}.attempt_v2('lock:deploy', null, 'new:1', 'box', 'x', 1, 1000000, 1000000, 0)`;
      const [row] = await ask(`select ${call} as answer`);
      return String(row?.['answer']);
    };
    expect(await answer()).toMatch(/^b /);
    await lock.release();
    expect(await answer()).toMatch(/^g /);
    expect(await old.tryAcquire('deploy')).toBeNull();
  });

  it('is installed once by twenty that start at the same time', async () => {
    const all = Array.from({ length: 20 }, () => engine({ connectionString: server.url, schema: 'crowd', max: 1 }));
    await Promise.all(all.map((one) => one.ping()));
    expect(await ask('select from crowd.version')).toHaveLength(1);
  });

  it('tells a server that only reads', async () => {
    const reader = engine({ pool: pool({ options: '-c default_transaction_read_only=on' }) });
    await refused(reader.acquire('stock', { wait: 0 }), /read-only transaction.*point the backend at the primary/);
  });

  it.each(['serializable', 'repeatable read'])('works where transactions are %s by default', async (level) => {
    const options = `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`;
    const engines = [0, 1].map(() => engine({ pool: pool({ options }) }));
    let inside = 0;
    const work = async (one: LockEngine) => {
      await one.withLock(
        `level ${level}`,
        async () => {
          expect(++inside).toBe(1);
          await Promise.resolve();
          inside--;
        },
        { wait: '25s' },
      );
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => work(engines[i % 2] as LockEngine)));
  });

  it('tells that the pool has no connection left, and leaves half of it to the application', async () => {
    const small = pool({ max: 2, connectionTimeoutMillis: 300 });
    const locks = engine({ pool: small });
    await locks.ping();
    const taken = [await small.connect(), await small.connect()];
    await refused(locks.acquire('stock', { wait: 0 }), /no connection free in its `connectionTimeoutMillis`/);
    for (const client of taken) client.release();
    await (await locks.acquire('stock')).release();
  });

  it('lives on when the server ends every connection, and never ends a pool that was handed in', async () => {
    const handed = new Pool({ connectionString: server.url });
    const locks = engine({ pool: handed });
    await (await locks.acquire('stock')).release();
    await ask(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename is not null',
    );
    await expect
      .poll(
        () =>
          locks.tryAcquire('stock').then(
            (lock) => lock?.release(),
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    await locks.close(0);
    expect((await handed.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await handed.end();
  });

  it('lists what is held and waited for, page by page, and nothing else', async () => {
    const backend = postgres({ connectionString: server.url }) as KeyBackend;
    endings.push(() => backend.close());
    const claim = (key: string, owner: string) =>
      ({ key, owner, mode: 'exclusive', limit: 1, ttl: 60_000, claimTtl: 3_000 }) as const;
    const names = Array.from({ length: 5 }, (_, i) => `list:${i}\\`);
    for (const name of names) expect((await backend.attempt(claim(name, `a:${name[5]}`))).granted).toBe(true);
    await backend.release(claim(names[2] ?? '', 'a:2'));
    await backend.attempt(claim('other', 'a:9'));
    const waiter = { granted: () => undefined, look: () => undefined };
    await backend.attempt(claim(names[1] ?? '', 'b:1'), waiter);
    const found = [];
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const page: ListPage | undefined = await backend.list?.({
        prefix: 'list:',
        limit: 2,
        ...(cursor !== '' && { cursor }),
      });
      found.push(...(page?.keys ?? []));
      cursor = page?.cursor;
    }
    expect(
      found.map(({ key, holders, waiters }) => [key, holders[0]?.owner, waiters?.map(({ owner }) => owner)]),
    ).toEqual([0, 1, 3, 4].map((i) => [names[i], `a:${i}`, i === 1 ? ['b:1'] : []]));
    await backend.release(claim(names[1] ?? '', 'b:1'));
  });

  it('locks a key until a transaction ends, and refuses a client that is in none', async () => {
    const clients = pool();
    const [first, second] = [await clients.connect(), await clients.connect()];
    try {
      await first.query('begin');
      await withLockInTransaction(first, 'stock');
      await second.query(`begin; set local lock_timeout = '50ms'`);
      await expect(withLockInTransaction(second, 'stock')).rejects.toThrow(/lock timeout/);
      await second.query('rollback');
      await first.query('commit');
      await second.query('begin');
      await withLockInTransaction(second, 'stock');
      await second.query('commit');
      await expect(withLockInTransaction(second, 'stock')).rejects.toThrow(/in no transaction/);
    } finally {
      first.release();
      second.release();
    }
  });

  it('a write that is guarded by the fencing token refuses the one who came too late', async () => {
    await ask('create table stock (id integer primary key, count integer, fence bigint not null default 0)');
    await ask('insert into stock values (1, 10)');
    const locks = engine({ connectionString: server.url });
    const tokens: bigint[] = [];
    for (let i = 0; i < 2; i++) {
      await locks.withLock('stock:1', (lock) => void tokens.push(lock.fencingToken ?? 0n));
    }
    const write = async (count: number, token: bigint | undefined) => {
      const text = 'update stock set count = $1, fence = $2 where id = 1 and fence <= $2';
      return (await clients.query(text, [count, String(token)])).rowCount;
    };
    const clients = pool();
    expect([await write(9, tokens[1]), await write(8, tokens[0])]).toEqual([1, 0]);
    expect(await ask('select count from stock')).toEqual([{ count: 9 }]);
  });

  it('forgets keys that nobody has used for a while, and only those', async () => {
    const locks = engine({ connectionString: server.url, schema: 'swept', counterTtl: 0 });
    const kept = await locks.acquire('kept');
    for (let i = 0; i < 1_100; i++) await (await locks.acquire(`gone ${i}`)).release();
    await expect
      .poll(async () => Number((await ask('select count(*) from swept.locks'))[0]?.['count']))
      .toBeLessThan(200);
    expect(await kept.release()).toBe(true);
  });
});
