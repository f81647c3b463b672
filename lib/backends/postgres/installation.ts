import { isMissing } from './errors.js';
import type { PooledClient, PostgresPool } from './pool.js';
import { identifier, INSTALL_LOCK, objects, SCHEMA_VERSION } from './schema/index.js';

/** Sees to it, once, that the tables and functions are there: by creating them, or by saying who has to. */
export class Installation {
  #done = false;
  #underWay: Promise<void> | undefined;

  /** @param create whether what is missing is created */
  constructor(
    private readonly pool: PostgresPool,
    private readonly schema: string,
    private readonly create: boolean,
  ) {}

  get done(): boolean {
    return this.#done;
  }

  /** They may be gone. */
  forget(): void {
    this.#done = false;
  }

  /** However many ask at a time, one looks. Failed, the next one looks anew. */
  ensure(): Promise<void> {
    return (this.#underWay ??= this.#ensure().finally(() => (this.#underWay = undefined)));
  }

  /** Asks the server even where that was done. */
  async look(): Promise<void> {
    this.forget();
    await this.ensure();
  }

  async #ensure(): Promise<void> {
    if (!(await this.#isThere())) await this.#install();
    this.#done = true;
  }

  /** One look without a lock: nearly always they are there. */
  async #isThere(): Promise<boolean> {
    try {
      const { rows } = await this.pool.query({ text: this.#versions, values: [], rowMode: 'array' });
      return this.#isCurrent(rows[0]);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    if (this.create) return false;
    throw missing(this.schema);
  }

  async #install(): Promise<void> {
    const client = await this.pool.connect();
    const ignore = (): void => undefined;
    client.on('error', ignore);
    let failed = true;
    try {
      await this.#installOn(client);
      failed = false;
    } finally {
      client.off('error', ignore);
      client.release(failed);
    }
  }

  /** In one transaction, which others who start at the same time wait for, and find nothing to do. */
  async #installOn(client: PooledClient): Promise<void> {
    await client.query('begin isolation level read committed');
    await client.query(`select pg_advisory_xact_lock(${INSTALL_LOCK})`);
    const schema = literal(this.schema);
    const { rows } = await client.query(
      `select to_regnamespace(quote_ident(${schema})) is not null as schema, to_regclass(${literal(this.#version)}) is not null as version`,
    );
    const { schema: hasSchema, version } = rows[0] as { schema: boolean; version: boolean };
    const found = version ? (await client.query(this.#versions)).rows[0] : undefined;
    if (!found || !this.#isCurrent(Object.values(found))) {
      // Also to create one that exists needs the right to create it.
      if (!hasSchema) await client.query(`create schema ${identifier(this.schema)}`);
      await client.query(objects(this.schema));
    }
    await client.query('commit');
  }

  /** @throws when only a newer version of the package can use them */
  #isCurrent(row: unknown): boolean {
    if (!Array.isArray(row)) return false;
    const [version, worksSince] = row.map(Number) as [number, number];
    if (worksSince > SCHEMA_VERSION) {
      throw new Error(
        `the tables of the locks in the schema "${this.schema}" are of version ${version}, which this release of nestjs-distributed-lock (version ${SCHEMA_VERSION}) cannot share; ` +
          'update the package, or give this application another `schema` if nobody shares locks with it',
      );
    }
    if (version < SCHEMA_VERSION && !this.create) throw missing(this.schema, version);
    return version >= SCHEMA_VERSION;
  }

  get #version(): string {
    return `${identifier(this.schema)}.version`;
  }

  get #versions(): string {
    return `select version, works_since from ${this.#version} order by version desc limit 1`;
  }
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function missing(schema: string, version?: number): Error {
  const what = version === undefined ? 'are missing' : `are of version ${version} and have to be updated`;
  return new Error(
    `the tables of the locks in the schema "${schema}" ${what}, and \`install: false\` forbids to create them; run \`npx nestjs-distributed-lock postgres --sql\` as a migration`,
  );
}
