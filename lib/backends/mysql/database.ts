import type { MysqlClient, Row } from './client.js';
import { isMissing } from './errors.js';
import { install } from './install.js';
import type { Open } from './listener.js';
import type { MysqlSchemaOptions } from './schema-sql.js';
import type { Names } from './schema/names.js';

/** How a backend gets at the server. */
export interface MysqlLink {
  readonly client: MysqlClient;
  /** Opens connections beside the pool. */
  readonly open: Open;
  readonly close: () => void;
}

/** What a backend is told of where it keeps its locks. */
export interface MysqlSettings {
  readonly names: Names;
  readonly place: MysqlSchemaOptions;
  readonly install: boolean;
  /** How long a fencing counter outlives its last holder, in milliseconds. */
  readonly counterTtl: number;
  /** Where the server is, without who asks. */
  readonly address: string;
}

/** The server as the backends ask it: connected by the first question, with the tables there before it is put. */
export class MysqlDatabase {
  #link: MysqlLink | undefined;
  #linking: Promise<MysqlLink> | undefined;
  #installed: Promise<void> | undefined;
  #isInstalled = false;

  /** @param connect makes the link, when it is first needed */
  constructor(
    private readonly connect: () => Promise<MysqlLink>,
    private readonly settings: Pick<MysqlSettings, 'place' | 'install'>,
  ) {}

  async link(): Promise<MysqlLink> {
    this.#linking ??= this.connect().catch((error: unknown) => {
      this.#linking = undefined;
      throw error;
    });
    return (this.#link = await this.#linking);
  }

  async ask(sql: string): Promise<readonly Row[]> {
    return this.with((client) => client.ask(sql));
  }

  /** In a session that does not commit by itself a look opens a transaction, and later looks would see the past. */
  see(sql: string): Promise<readonly Row[]> {
    return this.with((client) =>
      client.on(async (query) => {
        const rows = await query(sql);
        await query('commit');
        return rows;
      }),
    );
  }

  /** Work that may be done twice: it is begun again when the tables are found to be gone. */
  async with<T>(work: (client: MysqlClient) => Promise<T>): Promise<T> {
    const { client } = this.#link ?? (await this.link());
    if (!this.#isInstalled) await this.#install(client);
    try {
      return await work(client);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Gone with the server's data, or dropped.
      this.#isInstalled = false;
      await this.#install(client);
      return work(client);
    }
  }

  async close(): Promise<void> {
    (await this.#linking?.catch(() => undefined))?.close();
  }

  async #install(client: MysqlClient): Promise<void> {
    const { place, install: allowed } = this.settings;
    this.#installed ??= install(client, place, allowed).finally(() => (this.#installed = undefined));
    await this.#installed;
    this.#isInstalled = true;
  }
}
