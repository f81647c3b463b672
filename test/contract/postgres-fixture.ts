import type { LockBackend } from '../../lib/index.js';
import type { BackendFixture, Faults } from '../../lib/testing/index.js';
import { stored } from '../../lib/backends/postgres/keys.js';
import { askPostgres, type PostgresOptions, type PostgresServer, startPostgres } from '../servers/postgres.js';

/** A PostgreSQL of its own that the contract suite may freeze, kill and look into, however the backend gets at it. */
export function postgresFixture(
  create: (server: PostgresServer) => LockBackend | Promise<LockBackend>,
  options: PostgresOptions = {},
): BackendFixture {
  let server: PostgresServer;
  return {
    async start() {
      server = await startPostgres({ own: true, ...options });
    },
    stop: () => server.stop(),
    create: () => create(server),
    ttl: 1_000,
    tokensOutliveData: true,
    faults: faultsOf(() => server),
  };
}

function faultsOf(server: () => PostgresServer): Faults {
  const ask = (text: string, values: unknown[] = []) => askPostgres(server().url, text, values);
  return {
    async steal(fullKey) {
      const { key } = stored(fullKey);
      await ask('delete from distributed_lock.holders where key = $1', [key]);
      await ask('update distributed_lock.locks set owner = null, holders = 0 where key = $1', [key]);
    },
    pause: async () => server().pause(),
    resume: async () => server().resume(),
    restart: (how) => server().restart(how),
    async cutConnections() {
      await ask(
        'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename is not null',
      );
    },
    async residue() {
      const [there] = await ask(`select to_regclass('distributed_lock.locks') is not null as "there"`);
      if (there?.['there'] !== true) return [];
      // A row that is free and has no line is a counter, which goes when it was not used for a while.
      const left = await ask(`
        select key || ' locks' as what from distributed_lock.locks where owner is not null or holders > 0 or line > 0
        union all select key || ' holders ' || owner from distributed_lock.holders
        union all select key || ' waiters ' || owner from distributed_lock.waiters`);
      return left.map(({ what }) => String(what));
    },
  };
}
