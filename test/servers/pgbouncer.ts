import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { askPostgres } from './postgres.js';
import { type ServerControl, ServerProcess } from './process.js';
import { unprivileged } from './unprivileged.js';

export interface PgBouncer extends ServerControl {
  readonly url: string;
}

/** A PgBouncer in transaction mode in front of a PostgreSQL: each statement may get another connection of the server. */
export async function startPgBouncer(server: { readonly port: number }): Promise<PgBouncer> {
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const [command, args, user] = unprivileged('pgbouncer');
  const process = await ServerProcess.start({
    name: 'pgbouncer',
    command,
    args: (dataDir) => [...args, join(dataDir, 'pgbouncer.ini')],
    prepare(dataDir) {
      writeFileSync(
        join(dataDir, 'pgbouncer.ini'),
        `[databases]
postgres = host=127.0.0.1 port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
`,
      );
      if (user) chownSync(dataDir, user.uid, user.gid);
    },
    ready: async () => (await askPostgres(url, 'select 1 as one')).length === 1,
  });
  return Object.assign(process, { url });
}
