import { Socket } from 'node:net';
import type { ConnectionOptions, Pool, PoolConnection } from 'mysql2';
import { clientPackage } from '../../lock/client-package.js';
import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import type { LockBackend } from '../backend.js';
import { isMysqlPool, MysqlClient, type MysqlPool } from './client.js';
import type { MysqlLink, MysqlSettings } from './database.js';
import { MysqlLeases } from './leases.js';
import { MysqlBackend } from './mysql.js';
import { namesIn } from './schema/index.js';

/** Where the server is, for a pool that is made, and closed, here. Needs `mysql2` to be installed. */
export interface MysqlServer {
  /** Such as `mysql://user:password@host:3306/database`. */
  readonly uri?: string;
  /** The server's name or address. @default 'localhost' */
  readonly host?: string;
  /** The server's port. @default 3306 */
  readonly port?: number;
  /** The account that locks. Its least rights are on the page of this backend. */
  readonly user?: string;
  /** Of that account. It is never printed. */
  readonly password?: string;
  /** A Unix socket instead of host and port. */
  readonly socketPath?: string;
  /** Options of Node's `tls.connect`; `{}` for the defaults. */
  readonly ssl?: object;
  /** How many connections the locks may use at once, beside the two that listen. @default 4 */
  readonly connectionLimit?: number;
}

interface Behaviour {
  /** The database that has the tables. Default: the one that the pool or the `uri` selects. */
  readonly database?: string;
  /** What the names of the tables and procedures begin with. @default 'distributed_lock_' */
  readonly prefix?: string;
  /**
   * Whether to make the tables and procedures that are missing. With `false` it says so at boot instead; `mysqlSchemaSql()` is what a
   * migration has to run.
   * @default true
   */
  readonly install?: boolean;
  /**
   * Whether locks are worked by stored procedures. With `false` they are leases by single statements, for a user without the right EXECUTE
   * or a proxy or cluster that takes no procedures: exclusive ones only, in no order, and who waits asks again with growing pauses. The two
   * exclude each other.
   * @default true
   */
  readonly procedures?: boolean;
  /**
   * How long at least a lock's fencing counter outlives its last holder. Tokens start from the server's clock in microseconds, so the
   * counter only matters while a clock may run backwards.
   * @default '10m'
   */
  readonly counterTtl?: Duration;
  /**
   * Another way to the same server for the two connections that listen, where the pool goes through a proxy that shares connections
   * out anew for each statement.
   */
  readonly listenUri?: string;
}

/** Options of `mysql()`: a `pool` of yours, or where the server is; beside either, how locks behave. */
export type MysqlOptions = Behaviour &
  (
    | ({
        /** A pool of `mysql2` or `mysql2/promise`. It is used, one connection for each statement, and never ended. */
        readonly pool: MysqlPool;
      } & { readonly [K in keyof MysqlServer]?: never })
    | (MysqlServer & { readonly pool?: never })
  );

const NAMES: ReadonlySet<string> = new Set([
  ...['pool', 'uri', 'host', 'port', 'user', 'password', 'socketPath', 'ssl', 'connectionLimit'],
  ...['database', 'prefix', 'install', 'counterTtl', 'listenUri', 'procedures'],
]);

/**
 * Locks on MariaDB or MySQL, kept in a few tables and worked by stored procedures with the rights of the caller. Give it a pool of
 * `mysql2` that you have anyway (promises or callbacks), which it never ends and takes one connection of at a time for as long as a
 * statement takes; or say where the server is, and it makes a pool and closes it. To be woken when a lock is handed over, a process that
 * waits opens two connections more, whatever it waits for.
 *
 * What it returns is a description: each application that uses it has connections of its own to listen on.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function mysql(options: MysqlOptions = {}): LockBackend {
  checkOptionNames('mysql()', options, NAMES);
  const settings = settingsOf(options);
  const connect = (): Promise<MysqlLink> => linkOf(options);
  return options.procedures === false ? new MysqlLeases(connect, settings) : new MysqlBackend(connect, settings);
}

/** What says where the server is. Not set, as from an environment that lacks it, it would be a server on this machine. */
const WHERE = ['pool', 'uri', 'host', 'socketPath'] as const;

function settingsOf(options: MysqlOptions): MysqlSettings {
  const missing = WHERE.find((name) => name in options && options[name] === undefined);
  if (missing !== undefined) {
    throw new LockConfigurationError(
      `\`${missing}\` of mysql() is undefined. Give it a value, or leave it out for the server at localhost:3306.`,
    );
  }
  const {
    pool,
    uri,
    listenUri,
    prefix = 'distributed_lock_',
    database,
    install = true,
    counterTtl = '10m',
    procedures = true,
  } = options;
  if (pool !== undefined && !isMysqlPool(pool)) {
    throw new LockConfigurationError(
      '`pool` of mysql() is no pool of mysql2. Give it what `createPool(…)` of `mysql2` or `mysql2/promise` returned; a single connection, ' +
        'a cluster of pools and the pool of another library do not fit.',
    );
  }
  for (const [name, value] of [
    ['uri', uri],
    ['listenUri', listenUri],
  ] as const) {
    // Not the address itself: it may have the password in it.
    if (value !== undefined && (typeof value !== 'string' || !/^(mysql|mariadb):\/\//.test(value)))
      throw new LockConfigurationError(
        `\`${name}\` of mysql() is no address of a server. Give one such as \`mysql://user:password@host:3306/database\`.`,
      );
  }
  if (!/^\w{0,32}$/.test(prefix))
    throw new LockConfigurationError(
      `\`prefix\` of mysql() is ${JSON.stringify(prefix)}; it is at most 32 letters, digits and underscores.`,
    );
  return {
    names: namesIn(database, prefix),
    place: { prefix, procedures, ...(database !== undefined && { database }) },
    install,
    counterTtl: Math.ceil(toMilliseconds('counterTtl', counterTtl)),
    address: addressOf(options),
  };
}

/** Where the server is, without who asks and with which password. */
function addressOf({ pool, uri, host = 'localhost', port = 3306, socketPath, database }: MysqlOptions): string {
  const where: ConnectionOptions = pool
    ? new MysqlClient(pool).settings
    : uri === undefined
      ? { host, port, ...(socketPath !== undefined && { socketPath }) }
      : fromUri(uri);
  const name = database ?? where.database;
  return `${where.socketPath ?? `${where.host ?? 'localhost'}:${where.port ?? 3306}`}${name ? `/${name}` : ''}`;
}

function fromUri(uri: string): ConnectionOptions {
  // The parser's own complaint about an address has all of it.
  if (!URL.canParse(uri)) {
    throw new LockConfigurationError(
      '`uri` of mysql() is no address of a server. Give one such as `mysql://user:password@localhost:3306/app`.',
    );
  }
  const { hostname, port, pathname } = new URL(uri);
  return { host: hostname, port: Number(port || 3306), database: decodeURIComponent(pathname.slice(1)) };
}

async function linkOf(options: MysqlOptions): Promise<MysqlLink> {
  const { createConnection, createPool } = await clientPackage('mysql2', 'mysql({ uri })', () => import('mysql2'));
  const { listenUri } = options;
  const own = options.pool === undefined ? createPool(poolOptions(options)) : undefined;
  const connections = new Set<PoolConnection>();
  own?.on('connection', (connection) => {
    connections.add(connection);
    connection.on('end', () => connections.delete(connection));
    letProcessEnd(connection);
  });
  const client = new MysqlClient(options.pool ?? (own as Pool)); // one of the two is there
  return {
    client,
    open: () => {
      const connection = createConnection(
        listenUri === undefined ? { ...client.settings, ...LISTENING } : { uri: listenUri, ...LISTENING },
      );
      letProcessEnd(connection);
      return connection;
    },
    close: () => {
      own?.end(() => undefined);
      // A frozen server says goodbye to nobody.
      setTimeout(() => connections.forEach((connection) => connection.destroy()), GOODBYE_MS).unref();
    },
  };
}

/** An idle connection does not keep the process alive. */
function letProcessEnd(connection: object): void {
  const stream: unknown = Reflect.get(connection, 'stream');
  if (stream instanceof Socket) stream.unref();
}

const GOODBYE_MS = 500;
const LISTENING = { connectTimeout: 5_000, enableKeepAlive: true, keepAliveInitialDelay: 10_000 } as const;

function poolOptions({
  uri,
  host,
  port,
  user,
  password,
  socketPath,
  ssl,
  database,
  connectionLimit = 4,
}: MysqlOptions) {
  const given = { uri, host, port, user, password, socketPath, ssl, database };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...set, connectionLimit, maxIdle: connectionLimit, enableKeepAlive: true, keepAliveInitialDelay: 10_000 };
}
