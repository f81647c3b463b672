import type { KeyBackend } from '../../../lib/backends/backend.js';
import { mysql, mysqlSchemaStatements } from '../../../lib/backends/mysql/index.js';
import { postgres, postgresSchemaSql } from '../../../lib/backends/postgres/index.js';
import { askMariadb, startMariadb } from '../../servers/mariadb.js';
import { askPostgres, startPostgres } from '../../servers/postgres.js';
import type { ServerControl } from '../../servers/process.js';
import type { PodOptions } from './pod.js';

/** A database that keeps locks, and what a test needs to know of it. */
export interface SqlServer extends ServerControl {
  readonly port: number;
  /** For pods that use it. */
  readonly pod: PodOptions;
  /** One more process that uses it. @param listenAt the port at which it listens, instead of the server's own */
  backend(listenAt?: number): KeyBackend;
  ask(sql: string): Promise<Record<string, unknown>[]>;
  /** How many of those who wait can be told of a hand-over, as the server sees it. */
  reachable(): Promise<number>;
  /** The connections that processes listen on, one each, by the server's numbers. */
  listening(): Promise<readonly number[]>;
  /** Ends connections of everybody else, as an administrator does. */
  end(which: 'listening' | 'all'): Promise<void>;
  /** The owners in line for a key, the foremost first. */
  line(key: string): Promise<readonly string[]>;
  /** How many statements it was asked for locks, by connections that are closed by now. */
  statements(): Promise<number>;
  /** Until when the server keeps the lock of whoever holds it, in milliseconds since 1970; `undefined` when nobody does. */
  leaseEnd(key: string): Promise<number | undefined>;
}

export interface SqlKind {
  readonly name: string;
  /** How many statements a contended acquisition costs at most. */
  readonly statementsEach: number;
  /** One with the tables in it, whose commits wait for the disk as in production. */
  start(): Promise<SqlServer>;
}

const micros = (value: unknown): number | undefined => (value === undefined ? undefined : Number(value) / 1000);

/** The functions that a process calls; those beneath them are not asked for. */
const VERBS = ['attempt', 'attempt_all', 'release', 'renew', 'take_over', 'downgrade', 'force']
  .map((verb) => `'${verb}_v1'`)
  .join();

const postgresKind: SqlKind = {
  name: 'PostgreSQL',
  statementsEach: 2.2,
  async start() {
    const server = await startPostgres({ own: true, durable: true, settings: { track_functions: 'pl' } });
    const ask = (sql: string) => askPostgres(server.url, sql);
    await ask(postgresSchemaSql());
    return Object.assign(server, {
      pod: { postgres: server.url },
      ask,
      backend: (listenAt?: number) =>
        postgres({
          connectionString: server.url,
          ...(listenAt !== undefined && { listen: server.url.replace(`:${server.port}`, `:${listenAt}`) }),
        }) as KeyBackend,
      async reachable() {
        const [row] = await ask(
          'select count(*) from distributed_lock.waiters where not deaf and not distributed_lock.dead_v1(inbox)',
        );
        return Number(row?.['count']);
      },
      async listening() {
        const locks = `select pid from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and granted`;
        return (await ask(locks)).map(({ pid }) => Number(pid));
      },
      async end(which: 'listening' | 'all') {
        const others = `pid <> pg_backend_pid() and usename is not null`;
        const some = which === 'all' ? others : `pid = any('{${(await this.listening()).join()}}')`;
        await ask(`select pg_terminate_backend(pid) from pg_stat_activity where ${some}`);
      },
      async line(key: string) {
        const rows = await ask(`select owner from distributed_lock.waiters where key = 'lock:${key}' order by arrival`);
        return rows.map(({ owner }) => String(owner));
      },
      async statements() {
        const [row] = await ask(`select sum(calls) from pg_stat_user_functions where funcname in (${VERBS})`);
        return Number(row?.['sum']);
      },
      async leaseEnd(key: string) {
        const [row] = await ask(
          `select ends from distributed_lock.locks where key = 'lock:${key}' and owner is not null`,
        );
        return micros(row?.['ends']);
      },
    });
  },
};

const mariadbKind: SqlKind = {
  name: 'MariaDB',
  // One of them is of the connection that listens, which asks anew after each message.
  statementsEach: 3.2,
  async start() {
    const server = await startMariadb({ own: true, durable: true });
    let asked = 0;
    const ask = (sql: string) => {
      asked++;
      return askMariadb(server.uri, sql);
    };
    for (const statement of mysqlSchemaStatements()) await ask(statement);
    return Object.assign(server, {
      pod: { mysql: server.uri },
      ask,
      backend: (listenAt?: number) =>
        mysql({
          uri: server.uri,
          ...(listenAt !== undefined && { listenUri: server.uri.replace(`:${server.port}`, `:${listenAt}`) }),
        }) as KeyBackend,
      async reachable() {
        const alive = `is_used_lock(concat('nestjs-lock:i:', sha1(instance)))`;
        const [row] = await ask(`select count(${alive}) as count from distributed_lock_waiter where not deaf`);
        return Number(row?.['count']);
      },
      // Those that wait in the server; the idle ones beside them are ended by the clients when these go.
      async listening() {
        return (await ask('show processlist')).flatMap(({ Id, State }) => (State === 'User lock' ? [Number(Id)] : []));
      },
      async end(which: 'listening' | 'all') {
        const all = async () =>
          (await ask('show processlist')).flatMap(({ Id, User }) => (User === 'root' ? [Number(Id)] : []));
        for (const id of which === 'all' ? await all() : await this.listening())
          // It may be gone by then.
          await ask(`begin not atomic declare continue handler for 1094 begin end; kill ${id}; end`);
      },
      async line(key: string) {
        const rows = await ask(`select owner from distributed_lock_waiter where name = 'lock:${key}' order by arrival`);
        return rows.map(({ owner }) => String(owner));
      },
      async statements() {
        const [row] = await ask(`show global status like 'questions'`);
        // It counts the test's own as well.
        return Number(row?.['Value']) - asked;
      },
      async leaseEnd(key: string) {
        const [row] = await ask(
          `select ends from distributed_lock_lock where name = 'lock:${key}' and owner is not null`,
        );
        return micros(row?.['ends']);
      },
    });
  },
};

export const sqlKinds: readonly SqlKind[] = [postgresKind, mariadbKind];
