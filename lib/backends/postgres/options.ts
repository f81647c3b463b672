import type { LockBackend } from '../backend.js';
import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import { checkOptionNames } from '../../lock/option-names.js';
import { Installation } from './installation.js';
import { connectionTo, OwnPool } from './own-pool.js';
import { addressOf, clientOf, isPool, type ListeningClient, makeQuiet, type PostgresPool } from './pool.js';
import { PostgresBackend } from './postgres.js';
import { DEFAULT_SCHEMA } from './schema/index.js';
import { Statements } from './statements.js';

/** Where the server is, for a pool that is made, and ended, here. Needs `pg` to be installed. What is left out is as `pg` has it. */
export interface PostgresAddress {
  /** Such as `postgres://user:password@host:5432/database`. */
  readonly connectionString?: string;
  /** The server's name or address, or the folder of its socket. @default 'localhost' */
  readonly host?: string;
  /** The server's port. @default 5432 */
  readonly port?: number;
  /** The role that locks. Its least rights are on the page of this backend. */
  readonly user?: string;
  /** Of that role; a function is called for each new connection, as for passwords that rotate. It is never printed. */
  readonly password?: string | (() => string | Promise<string>);
  /** The database that has the schema of the locks. Without it, one of the role's name. */
  readonly database?: string;
  /** Options of Node's `tls.connect`, or `true`. */
  readonly ssl?: boolean | object;
  /** How many connections the pool has at most. @default 5 */
  readonly max?: number;
}

interface Behaviour {
  /** Where the tables and functions are. @default 'distributed_lock' */
  readonly schema?: string;
  /**
   * Whether they are created where they are missing, when an application starts. Without it a migration does it; `postgresSchemaSql()` and
   * `npx nestjs-distributed-lock postgres --sql` print one.
   * @default true
   */
  readonly install?: boolean;
  /**
   * A connection string for the one connection that hears who is next, where the other one leads to a pooler in transaction mode, such as
   * PgBouncer: nothing is heard through that. Without it the connection goes where the pool goes.
   */
  readonly listen?: string;
  /**
   * Whether the server prepares each statement once for each connection. It saves a quarter of the time of a lock, and does not go through
   * every pooler. Left out, it is done once a message to itself has shown that no such pooler is in between; with `listen` it is not.
   * @default undefined
   */
  readonly prepared?: boolean;
  /**
   * How long a key that nobody uses is remembered at least. Its fencing tokens start from the server's clock in microseconds, so this only
   * matters where the clock may run backwards, as after a failover.
   * @default '10m'
   */
  readonly counterTtl?: Duration;
}

/** Options of `postgres()`: a `pool` of yours, or where the server is; beside either, how locks behave. */
export type PostgresOptions = Behaviour &
  (
    | ({
        /** A `Pool` of `pg`. It is used and never ended; at most half of its connections at a time. */
        readonly pool: PostgresPool;
      } & { readonly [K in keyof PostgresAddress]?: never })
    | (PostgresAddress & { readonly pool?: never })
  );

const ADDRESS_NAMES = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl', 'max'] as const;

const NAMES: ReadonlySet<string> = new Set([
  'pool',
  ...ADDRESS_NAMES,
  'schema',
  'install',
  'listen',
  'prepared',
  'counterTtl',
]);

/** What says where the server is. Not set, as from an environment that lacks it, it would be a server on this machine. */
const WHERE = ['pool', 'connectionString', 'host', 'listen'] as const;

const SCHEME = /^postgres(?:ql)?:\/\/\S*$/i;

/** The longest name that the server does not cut off, in bytes. */
const LONGEST_NAME = 63;

/** Each has a statement for less than a millisecond at a time. */
const MOST = 5;

/** How long a connection of our own may take to open, in milliseconds. */
const CONNECT_MS = 5_000;

/**
 * Locks in a PostgreSQL database (12 or later), in a schema of their own.
 *
 * A pool that is handed in is used for statements and never ended; waiting needs one more connection for each process, which is ours.
 *
 * @throws LockConfigurationError when the options make no sense
 */
export function postgres(options: PostgresOptions = {}): LockBackend {
  checkOptionNames('postgres()', options, NAMES);
  checkAddress(options);
  const { schema = DEFAULT_SCHEMA, install = true, prepared, counterTtl = '10m', listen } = options;
  checkSchema(schema);
  const forget = Math.ceil(toMilliseconds('counterTtl', counterTtl));
  const make = (): PostgresBackend => {
    const { pool, connect, most, end } = reach(options);
    const installation = new Installation(pool, schema, install);
    return new PostgresBackend({
      statements: new Statements(pool, installation, schema, most, prepared),
      connect: listen === undefined ? connect : () => connectionTo(ownConnection(listen)),
      sameWay: listen === undefined,
      counterTtl: forget,
      end,
      address: addressOf(pool.options),
      forApplication: make,
    });
  };
  return make();
}

/** How a backend gets at the server. */
interface Reach {
  readonly pool: PostgresPool;
  readonly connect: () => Promise<ListeningClient>;
  readonly most: number;
  readonly end: () => Promise<void>;
}

function reach(options: PostgresOptions): Reach {
  const { pool } = options;
  if (pool === undefined) {
    const own = new OwnPool(settingsOf(options));
    return { pool: own, connect: () => own.client(), most: own.options.max ?? MOST, end: () => own.end() };
  }
  makeQuiet(pool);
  return {
    pool,
    async connect() {
      const client = clientOf(pool);
      if (client) return client;
      throw new LockConfigurationError('The pool does not tell how it connects. Give postgres() `listen` as well.');
    },
    most: Math.max(1, Math.ceil((pool.options?.max ?? 10) / 2)),
    end: async () => undefined,
  };
}

function settingsOf(options: PostgresAddress): Record<string, unknown> {
  const given = ADDRESS_NAMES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]));
  return { max: MOST, connectionTimeoutMillis: CONNECT_MS, ...Object.fromEntries(given) };
}

const ownConnection = (connectionString: string) => ({ connectionString, connectionTimeoutMillis: CONNECT_MS });

function checkAddress(options: PostgresOptions): void {
  const missing = WHERE.find((name) => name in options && options[name] === undefined);
  if (missing !== undefined) {
    throw new LockConfigurationError(
      `\`${missing}\` of postgres() is undefined. Give it a value, or leave it out for what \`pg\` takes from the environment.`,
    );
  }
  for (const name of ['connectionString', 'listen'] as const) {
    const value: unknown = options[name];
    if (value === undefined || (typeof value === 'string' && SCHEME.test(value))) continue;
    // Not the address itself: it may have the password in it.
    throw new LockConfigurationError(
      `\`${name}\` of postgres() is no address of a PostgreSQL server. Give one such as \`postgres://user:password@localhost:5432/database\`.`,
    );
  }
  if (options.pool !== undefined && !isPool(options.pool)) {
    throw new LockConfigurationError(
      '`postgres({ pool })` needs a `Pool` of `pg`, and this is something else. Hand over the pool that your ORM was given, or use `connectionString`.',
    );
  }
  const { max } = options;
  if (max !== undefined && (!Number.isInteger(max) || max < 1))
    throw new LockConfigurationError(
      `\`max\` of postgres() is ${JSON.stringify(max)}; it is a whole number from 1 up.`,
    );
}

function checkSchema(schema: unknown): void {
  if (
    typeof schema === 'string' &&
    schema !== '' &&
    !schema.includes('\0') &&
    Buffer.byteLength(schema) <= LONGEST_NAME
  )
    return;
  throw new LockConfigurationError(
    `\`schema\` of postgres() is ${JSON.stringify(schema)}; it is a name of up to ${LONGEST_NAME} bytes.`,
  );
}
