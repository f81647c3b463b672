/** What of a `Pool` of `pg` is used; a `Pool` fits. */
export interface PostgresPool {
  query(statement: Statement): Promise<{ readonly rows: readonly unknown[] }>;
  connect(): Promise<PooledClient>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  readonly options: PoolSettings;
  end(): Promise<void>;
}

/** A connection that was taken from a pool of `pg`. */
export interface PooledClient {
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  release(destroy?: boolean): void;
}

/** One statement, whose rows come as arrays. With a name the server prepares it once for each connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
  readonly rowMode: 'array';
}

/** Where a pool leads, and how many connections it may have. */
export interface PoolSettings {
  readonly connectionString?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  readonly max?: number | undefined;
}

/** A connection of our own, to listen on. */
export interface ListeningClient {
  connect(): Promise<unknown>;
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
  on(event: 'notification', listener: (message: { readonly payload?: string | undefined }) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  unref?(): void;
  end(): Promise<void>;
}

export const isPool = (pool: unknown): pool is PostgresPool =>
  typeof pool === 'object' &&
  pool !== null &&
  ['query', 'connect', 'on', 'end'].every((name) => typeof Reflect.get(pool, name) === 'function');

const quiet = new WeakSet<PostgresPool>();

/**
 * `pg` ends the process when an idle connection breaks and nobody listens. The application's own listeners hear of it all the same;
 * ours does nothing, once for each pool, whatever number of backends is over it.
 */
export function makeQuiet(pool: PostgresPool): void {
  if (quiet.has(pool)) return;
  quiet.add(pool);
  pool.on('error', () => undefined);
}

/** The class of connections that a pool makes, where it tells. */
export function clientOf(pool: PostgresPool): ListeningClient | undefined {
  const Client: unknown = Reflect.get(pool, 'Client');
  // What `pg` makes is a client; its own options have the password, hidden from those who only look.
  return typeof Client === 'function' ? (Reflect.construct(Client, [pool.options]) as ListeningClient) : undefined;
}

/** Where a server is, without user and password. */
export function addressOf({ connectionString, host, port, database }: PoolSettings): string | undefined {
  if (connectionString !== undefined) {
    try {
      const { host: at, pathname } = new URL(connectionString);
      return `${at || 'localhost'}${pathname}`;
    } catch {
      return undefined;
    }
  }
  if (host === undefined) return undefined;
  return `${host}${port === undefined ? '' : `:${port}`}${database === undefined ? '' : `/${database}`}`;
}
