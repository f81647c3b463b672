import { createPool, type Pool } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { mysql, type MysqlOptions, mysqlSchemaStatements } from '../../lib/backends/mysql/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError } from '../../lib/lock/errors.js';
import { askMariadb, type MariadbServer, startMariadb } from '../servers/mariadb.js';
import { inLine } from './support/in-pod.js';

describe('MariaDB', () => {
  let server: MariadbServer;
  const ask = (sql: string) => askMariadb(server.uri, sql);
  const as = (user: string, database = 'app') => server.uri.replace('root@', `${user}@`).replace(/app$/, database);

  beforeAll(async () => {
    server = await startMariadb({ own: true });
    await ask(`create user app@'%' identified by 'secret'`);
    await ask('create database shop');
  });
  afterAll(() => server.stop());

  function engine(options: MysqlOptions): LockEngine {
    const made = new LockEngine(mysql(options), { callTimeout: '20s' });
    onTestFinished(() => made.close(0));
    return made;
  }
  function pool(options: object = {}, setting?: string): Pool {
    const made = createPool({ uri: server.uri, ...options });
    if (setting !== undefined) made.on('connection', (connection) => void connection.query(`set session ${setting}`));
    onTestFinished(() => made.end());
    return made;
  }
  const refused = (work: Promise<unknown>, message: RegExp) =>
    expect(work).rejects.toSatisfy((error: unknown) => {
      expect(error).toBeInstanceOf(LockBackendError);
      expect((error as Error).message).toMatch(message);
      return true;
    });
  /** Two processes hand a key over. */
  async function handsOver(one: LockEngine, other: LockEngine, key: string): Promise<void> {
    const lock = await one.acquire(key);
    const turn = other.acquire(key);
    await inLine(one, key, 1);
    await lock.release();
    const next = await turn;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    await next.release();
  }

  it('tells a wrong password', () => refused(engine({ uri: as('app:wrong') }).ping(), /Access denied for user 'app'/));

  it('tells that the user may not create the tables, and works for it after a migration and the grants of the page', async () => {
    await ask(`grant select on shop.* to app@'%'`);
    const uri = as('app:secret', 'shop');
    await refused(engine({ uri }).ping(), /denied.*mysqlSchemaSql/);
    await refused(engine({ uri, install: false }).ping(), /`install` is false.*mysqlSchemaSql/);
    for (let twice = 0; twice < 2; twice++)
      for (const statement of mysqlSchemaStatements({ database: 'shop' })) await ask(statement);
    await ask(`grant select, insert, update, delete on shop.* to app@'%'`);
    await refused(
      engine({ uri, install: false }).acquire('stock', { wait: 0 }),
      /execute command denied.*needs the right EXECUTE/,
    );
    await ask(`grant execute on shop.* to app@'%'`);
    await handsOver(engine({ uri, install: false }), engine({ uri, install: false }), 'stock');
  });

  it('without the right EXECUTE it works by single statements where that is asked for, says so, and excludes those who have it', async () => {
    await ask('create database bare');
    await ask(`create user bare@'%' identified by 'secret'`);
    for (const statement of mysqlSchemaStatements({ database: 'bare' })) await ask(statement);
    await ask(`grant select, insert, update, delete on bare.* to bare@'%'`);
    const options = { uri: as('bare:secret', 'bare'), install: false };
    await refused(engine(options).acquire('k', { wait: 0 }), /needs the right EXECUTE.*`procedures: false`/);
    const backend = mysql({ ...options, procedures: false });
    onTestFinished(() => backend.close());
    await backend.ping();
    expect(await backend.warnings?.()).toEqual([expect.stringMatching(/ask again and again.*`procedures: false`/)]);
    const without = engine({ ...options, procedures: false });
    const procedures = engine({ uri: as('root', 'bare') });
    for (const [one, other] of [
      [without, procedures],
      [procedures, without],
    ] as const) {
      const lock = await one.acquire('both ways');
      expect(await other.tryAcquire('both ways')).toBeNull();
      const turn = other.acquire('both ways', { wait: '20s' });
      await lock.release();
      const next = await turn;
      expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
      await next.release();
    }
    const reader = await procedures.acquire('both ways', { mode: 'shared' });
    expect(await without.tryAcquire('both ways')).toBeNull();
    await reader.release();
    await (await without.acquire('both ways')).release();
    // Not before those who stand in a line.
    const held = await procedures.acquire('both ways');
    const inTurn = procedures.acquire('both ways', { wait: '20s' });
    await inLine(procedures, 'both ways', 1);
    expect(await without.tryAcquire('both ways')).toBeNull();
    await held.release();
    await (await inTurn).release();
  });

  it('a reader that procedures let in meanwhile keeps out who goes by single statements, whatever the isolation level', async () => {
    const readCommitted = pool({}, 'transaction isolation level read committed');
    const without = engine({ pool: readCommitted, prefix: 'mixed_', procedures: false });
    await (await without.acquire('read')).release();
    const grant = await pool().getConnection();
    onTestFinished(() => grant.release());
    await grant.query('start transaction');
    await grant.query(`select * from mixed_lock where name = 'lock:read' for update`);
    const trying = without.tryAcquire('read');
    const waiting = `select trx_id from information_schema.innodb_trx where trx_state = 'LOCK WAIT'`;
    await expect.poll(() => ask(waiting), { timeout: 10_000 }).toHaveLength(1);
    const now = `timestampdiff(microsecond, timestamp'1970-01-01 00:00:00', utc_timestamp(6))`;
    await grant.query(
      `insert into mixed_holder (name, owner, token, ends, since) values ('lock:read', 'reader:1', 1, ${now} + 60000000, ${now})`,
    );
    await grant.query(`update mixed_lock set shared = 1 where name = 'lock:read'`);
    await grant.query('commit');
    expect(await trying).toBeNull();
  });

  it('refuses tables of another version with a text that says so', async () => {
    await engine({ uri: server.uri, prefix: 'newer_' }).ping();
    await ask(`update newer_version set version = 1000 where name = 'tables'`);
    await refused(
      engine({ uri: server.uri, prefix: 'newer_' }).ping(),
      /version 1000.*knows version 1\..*would not exclude/,
    );
  });

  it('old and new procedures of the same tables exclude each other, as during a rolling deploy', async () => {
    const old = engine({ uri: server.uri, prefix: 'rolling_' });
    const lock = await old.acquire('deploy');
    // What a release installs whose procedures have another version, beside these.
    for (const statement of mysqlSchemaStatements({ prefix: 'rolling_' }))
      if (/procedure/.test(statement)) await ask(statement.replaceAll('_v1`', '_v2`'));
    const name = Buffer.from('lock:deploy').toString('hex');
    const answer = async () => {
      const [[row] = []] = (await ask(call)) as unknown as Record<string, unknown>[][];
      return String(row?.['answer']);
    };
    const call = `call rolling_attempt_v2(x'${name}', 'new:1', 'x', 1, 1000, 1000, 0, null)`;
    expect(await answer()).toMatch(/^0 /);
    await lock.release();
    expect(await answer()).toMatch(/^1 /);
  });

  it('is installed once by twenty that start at the same time', async () => {
    const all = Array.from({ length: 20 }, () => engine({ uri: server.uri, prefix: 'crowd_', connectionLimit: 1 }));
    await Promise.all(all.map((one) => one.ping()));
    expect(await ask(`select * from crowd_version where name = 'tables'`)).toHaveLength(1);
  });

  it('tables that were dropped are made anew', async () => {
    const locks = engine({ uri: server.uri, prefix: 'gone_' });
    await (await locks.acquire('stock')).release();
    await ask('drop table gone_lock, gone_version');
    await (await locks.acquire('stock')).release();
  });

  it.each([
    ['read_only', 'read_only'],
    ['a session that only reads', undefined],
  ])('tells a server that takes no writes (%s)', async (_, variable) => {
    const options = variable
      ? { uri: as('app:secret', 'shop'), install: false }
      : { pool: pool({}, 'transaction read only') };
    const locks = engine(options);
    if (variable) await ask(`set global ${variable} = 1`);
    try {
      await refused(locks.acquire('stock', { wait: 0 }), /takes no writes.*need the primary|read-only transactions/);
    } finally {
      if (variable) await ask(`set global ${variable} = 0`);
    }
  });

  it.each([
    ['serializable', 'transaction isolation level serializable'],
    ['repeatable read', 'transaction isolation level repeatable read'],
    ['no commit of its own', 'autocommit = 0'],
    ['a limit on statements', 'max_statement_time = 1'],
    ['a short idle time', 'wait_timeout = 1'],
    ['another SQL mode', `sql_mode = 'ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES'`],
    ['a time zone', `time_zone = '+11:00'`],
  ])('works with sessions of %s', async (name, setting) => {
    const [one, other] = [engine({ pool: pool({}, setting) }), engine({ pool: pool({}, setting) })];
    await handsOver(one, other, name);
    let inside = 0;
    const work = (engine: LockEngine) =>
      engine.withLock(name, async () => {
        expect(++inside).toBe(1);
        await Promise.resolve();
        inside--;
      });
    await Promise.all(Array.from({ length: 12 }, (_, i) => work(i % 2 ? one : other)));
  });

  it('waits for a connection of a pool that has none free, and tells when that has a limit', async () => {
    const small = pool({ connectionLimit: 1, queueLimit: 1 });
    const locks = engine({ pool: small });
    await locks.ping();
    const taken = await small.getConnection();
    const waiting = locks.tryAcquire('stock');
    await refused(locks.tryAcquire('other'), /Queue limit reached/);
    taken.release();
    await (await waiting)?.release();
  });

  it('lives on when the server ends every connection, and never ends a pool that was handed in', async () => {
    const handed = createPool({ uri: server.uri });
    const locks = engine({ pool: handed });
    await (await locks.acquire('stock')).release();
    for (const { Id, User, Info } of await ask('show processlist'))
      if (User === 'root' && !Info) await ask(`kill ${Number(Id)}`).catch(() => undefined);
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
    expect((await handed.query('select 1 as one'))[0]).toEqual([{ one: 1 }]);
    await handed.end();
  });

  it('where no connection to listen on can be had, waiters ask again and again, and the boot says so once', async () => {
    await ask(`create user poor@'%' identified by 'secret' with max_user_connections 1`);
    await ask(`grant all on shop.* to poor@'%'`);
    const options = { uri: as('poor:secret', 'shop'), connectionLimit: 1 };
    const backend = mysql(options);
    onTestFinished(() => backend.close());
    await backend.ping();
    expect(await backend.warnings?.()).toEqual(
      expect.arrayContaining([expect.stringMatching(/ask again and again.*max_user_connections/)]),
    );
    await backend.close();
    const [poor, rich] = [engine(options), engine({ uri: as('root', 'shop') })];
    const lock = await rich.acquire('poor');
    const turn = poor.acquire('poor', { wait: '20s' });
    await inLine(rich, 'poor', 1);
    await lock.release();
    await (await turn).release();
  });

  it('a write that is guarded by the fencing token refuses the one who came too late', async () => {
    await ask('create table stock (id int primary key, count int, fence bigint not null default 0)');
    await ask('insert into stock values (1, 10, 0)');
    const locks = engine({ uri: server.uri });
    const tokens: bigint[] = [];
    for (let i = 0; i < 2; i++) await locks.withLock('stock:1', (lock) => void tokens.push(lock.fencingToken ?? 0n));
    const write = async (count: number, token: bigint | undefined) => {
      const sql = 'update stock set count = ?, fence = ? where id = 1 and fence <= ?';
      const [{ affectedRows }] = (await clients.query(sql, [count, token, token])) as [
        { affectedRows: number },
        unknown,
      ];
      return affectedRows;
    };
    const clients = pool();
    expect([await write(9, tokens[1]), await write(8, tokens[0])]).toEqual([1, 0]);
    expect(await ask('select count from stock')).toEqual([{ count: 9 }]);
  });
});
