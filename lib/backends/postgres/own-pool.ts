import { clientPackage } from '../../lock/client-package.js';
import type { ListeningClient, PooledClient, PoolSettings, PostgresPool, Statement } from './pool.js';
import { makeQuiet } from './pool.js';

/** A pool of ours, made by its first use: so a backend can be described without a connection, and without `pg`. */
export class OwnPool implements PostgresPool {
  readonly #busy = new Set<ListeningClient>();
  #opened: Promise<PostgresPool> | undefined;

  constructor(readonly options: PoolSettings) {}

  async query(statement: Statement): Promise<{ readonly rows: readonly unknown[] }> {
    return (await this.#open()).query(statement);
  }

  async connect(): Promise<PooledClient> {
    return (await this.#open()).connect();
  }

  on(): this {
    return this;
  }

  /** A connection of the same kind that is no part of the pool. */
  async client(): Promise<ListeningClient> {
    return connectionTo(this.options);
  }

  /** Statements under way are not waited for: who ends the pool has given up on them, and a frozen server would never answer. */
  async end(): Promise<void> {
    const pool = await this.#opened;
    const ended = pool?.end();
    for (const client of this.#busy) client.end().catch(() => undefined);
    await ended;
  }

  #open(): Promise<PostgresPool> {
    return (this.#opened ??= this.#make());
  }

  async #make(): Promise<PostgresPool> {
    const { Pool } = await clientPackage('pg', 'postgres({ connectionString })', () => import('pg'));
    const pool = new Pool({ ...this.options, allowExitOnIdle: true, keepAlive: true });
    makeQuiet(pool);
    pool.on('acquire', (client) => this.#busy.add(client));
    pool.on('release', (_, client) => this.#busy.delete(client));
    return pool;
  }
}

/** A connection of our own to a server. */
export async function connectionTo(settings: PoolSettings): Promise<ListeningClient> {
  const { Client } = await clientPackage('pg', 'postgres({ connectionString })', () => import('pg'));
  return new Client({ ...settings, keepAlive: true });
}
