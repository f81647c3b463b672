import { createPool, type Pool } from 'mysql2/promise';
import type { LockBackend } from '../../lib/index.js';
import type { BackendFixture } from '../../lib/testing/index.js';
import { type MariadbServer, startMariadb } from '../servers/mariadb.js';

/** A MariaDB of its own that the contract suite may freeze, kill and look into. */
export function mysqlFixture(
  create: (server: MariadbServer) => LockBackend | Promise<LockBackend>,
  args: readonly string[] = [],
): BackendFixture {
  let server: MariadbServer;
  let admin: Pool;
  const ask = async (sql: string): Promise<Record<string, unknown>[]> => {
    const [rows] = await admin.query(sql);
    return rows as Record<string, unknown>[];
  };
  return {
    async start() {
      server = await startMariadb({ own: true, args });
      admin = createPool({ uri: server.uri, connectionLimit: 2 });
    },
    async stop() {
      await admin.end();
      await server.stop();
    },
    create: () => create(server),
    ttl: 2_000,
    tokensOutliveData: true,
    faults: {
      async steal(fullKey) {
        await ask(`update distributed_lock_lock set owner = null, shared = 0 where name = '${fullKey}'`);
        await ask(`delete from distributed_lock_holder where name = '${fullKey}'`);
      },
      pause: async () => server.pause(),
      resume: async () => server.resume(),
      restart: (options) => server.restart(options),
      async cutConnections() {
        const [me] = await ask('select connection_id() as id');
        for (const { Id, User } of await ask('show processlist')) {
          if (User === 'root' && Id !== me?.['id']) await ask(`kill ${Number(Id)}`).catch(() => undefined);
        }
      },
      async residue() {
        const left: string[] = [];
        // A key that nobody holds or waits for is cleared away in the course of time.
        for (const { name } of await ask(
          'select name from distributed_lock_lock where owner is not null or shared or line is not null',
        ))
          left.push(`lock ${String(name)}`);
        for (const table of ['holder', 'waiter'])
          for (const { name, owner } of await ask(`select name, owner from distributed_lock_${table}`))
            left.push(`${table} ${String(name)} ${String(owner)}`);
        return left;
      },
    },
  };
}
