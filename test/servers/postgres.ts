import { execFileSync } from 'node:child_process';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { elsewhere } from './elsewhere.js';
import { freePort } from './free-port.js';
import { postgresProgram } from './postgres-programs.js';
import { type ServerControl, ServerProcess } from './process.js';
import { unprivileged } from './unprivileged.js';

export interface PostgresServer extends ServerControl {
  /** As the superuser. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface PostgresOptions {
  /** A server that the test may freeze and kill, whatever `POSTGRES_URL` says. */
  readonly own?: boolean;
  /** Whether a commit waits for the disk, as in production. Without it a killed server keeps its data all the same. @default false */
  readonly durable?: boolean;
  /** Whether its data may not be in memory: see `dataFolder`. @default false */
  readonly onDisk?: boolean;
  /** The primary that it follows, as a replica that only reads. */
  readonly follows?: { readonly host: string; readonly port: number };
  /** More settings of the server, such as `{ wal_writer_delay: '10s' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** One PostgreSQL: of our own, or the one that `POSTGRES_URL` names. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const url = process.env['POSTGRES_URL'];
  if (url && !options.own) {
    const { hostname, port } = new URL(url);
    return elsewhere('POSTGRES_URL', { url, host: hostname, port: Number(port || 5432) });
  }
  return startPostgresProcess(options);
}

/** A postgres process. Root may not run one, so it runs as somebody else where we are root. */
export async function startPostgresProcess(options: PostgresOptions = {}): Promise<PostgresServer & ServerProcess> {
  const host = '127.0.0.1';
  const port = await freePort();
  const url = `postgres://postgres@${host}:${port}/postgres`;
  const postgres = postgresProgram('postgres');
  const [command, first] = unprivileged(postgres);
  const server = await ServerProcess.start({
    name: 'postgres',
    command,
    args: (dataDir) => [...first, '-D', dataDir, ...settingsOf(port, options)],
    prepare: options.follows ? copyOf(options.follows) : createCluster,
    ready: () => answers(url),
    onDisk: options.onDisk ?? false,
    // An immediate end: as abrupt as a kill, but it gives back its shared memory.
    endsBy: 'SIGQUIT',
  });
  return Object.assign(server, { url, host, port });
}

function settingsOf(port: number, { durable = false, settings = {} }: PostgresOptions): string[] {
  const all: Record<string, string> = {
    port: `${port}`,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // Nothing in the folder for shared memory that somebody would have to clear away after a kill.
    dynamic_shared_memory_type: 'mmap',
    max_connections: '300',
    shared_buffers: '32MB',
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    log_min_messages: 'warning',
    ...settings,
  };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** The superuser comes in without a password, everybody else needs one. */
const ACCESS = `
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
`;

function createCluster(dataDir: string): void {
  const [initdb, args, user] = unprivileged(postgresProgram('initdb'));
  if (user) chownSync(dataDir, user.uid, user.gid);
  execFileSync(
    initdb,
    [...args, '-D', dataDir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
    { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' },
  );
  writeFileSync(join(dataDir, 'pg_hba.conf'), ACCESS);
}

const copyOf =
  ({ host, port }: { readonly host: string; readonly port: number }) =>
  (dataDir: string): void => {
    const [backup, args, user] = unprivileged(postgresProgram('pg_basebackup'));
    if (user) chownSync(dataDir, user.uid, user.gid);
    const from = ['-h', host, '-p', `${port}`, '-U', 'postgres'];
    execFileSync(backup, [...args, ...from, '-D', dataDir, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: '/',
    });
  };

/** Whether a server lets us in and takes writes. */
async function answers(url: string): Promise<boolean> {
  await askPostgres(url, 'select 1');
  return true;
}

/** One statement on a connection of its own, to a server that may be frozen or gone. */
export async function askPostgres(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(text, [...values])).rows;
  } finally {
    client.end().catch(() => undefined);
  }
}
