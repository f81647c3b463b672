import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { elsewhere } from './elsewhere.js';
import { freePort } from './free-port.js';
import { type ServerControl, ServerProcess } from './process.js';

export interface MariadbServer extends ServerControl {
  /** As root, in the database `app`. */
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  /** The process, where it is ours. */
  readonly pid: number;
}

export interface MariadbOptions {
  /** A server that the test may freeze and kill, whatever `MYSQL_URL` says. */
  readonly own?: boolean;
  /** Whether a commit waits for the disk, as in production. Without it a killed server keeps its data all the same. @default false */
  readonly durable?: boolean;
  /** Whether its data may not be in memory: see `dataFolder`. @default false */
  readonly onDisk?: boolean;
  /** More arguments for mariadbd; the last of a name wins. */
  readonly args?: readonly string[];
}

/** One MariaDB: of our own, or the MariaDB or MySQL that `MYSQL_URL` names. */
export async function startMariadb(options: MariadbOptions = {}): Promise<MariadbServer> {
  const uri = process.env['MYSQL_URL'];
  if (uri && !options.own) {
    const { hostname, port } = new URL(uri);
    return elsewhere('MYSQL_URL', { uri, host: hostname, port: Number(port || 3306) });
  }
  return startMariadbProcess(options);
}

/** A mariadbd process. */
export async function startMariadbProcess({ durable = false, onDisk = false, args = [] }: MariadbOptions = {}): Promise<
  MariadbServer & ServerProcess
> {
  const host = '127.0.0.1';
  const port = await freePort();
  const uri = `mysql://root@${host}:${port}/app`;
  const server = await ServerProcess.start({
    name: 'mariadb',
    command: 'mariadbd',
    args: (dataDir) => [
      '--no-defaults',
      ...asRoot,
      ...['--datadir', dataDir, '--tmpdir', dataDir, '--port', `${port}`, '--bind-address', host],
      ...['--socket', join(dataDir, 'socket'), '--pid-file', join(dataDir, 'pid'), '--init-file', initFile(dataDir)],
      ...['--skip-name-resolve', '--skip-log-bin', '--performance-schema=OFF', '--max-connections=400'],
      ...['--innodb-buffer-pool-size=32M', '--innodb-log-file-size=16M'],
      // 2: handed to the operating system with each commit, so it outlives a kill of the process.
      `--innodb-flush-log-at-trx-commit=${durable ? 1 : 2}`,
      ...args,
    ],
    prepare: createDataFolder,
    onDisk,
    ready: async () => (await askMariadb(uri, 'select 1')).length === 1,
  });
  return Object.assign(server, { uri, host, port });
}

/** Root has to say that it means it. */
const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
const initFile = (dataDir: string): string => join(dataDir, 'init.sql');

function createDataFolder(dataDir: string): void {
  execFileSync(
    'mariadb-install-db',
    [
      '--no-defaults',
      ...asRoot,
      `--datadir=${dataDir}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      // Once for the whole folder is enough.
      ...['--innodb-flush-log-at-trx-commit=0'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  writeFileSync(initFile(dataDir), 'create database if not exists app;\n');
}

/** One statement on a connection of its own, to a server that may be frozen or gone. */
export async function askMariadb(uri: string, sql: string): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({ uri, connectTimeout: 1_000 });
  connection.on('error', () => undefined);
  try {
    const [rows] = await connection.query({ sql, timeout: 5_000 });
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    connection.destroy();
  }
}
