import type { Attempt, Claim, KeyBackend, KeyState, ListPage, ListQuery, Traits } from '../backend.js';
import type { Row } from './client.js';
import { MysqlDatabase, type MysqlLink, type MysqlSettings } from './database.js';
import { explained, isConflict } from './errors.js';
import { inspect, listKeys } from './looking.js';
import { CLOCK, STEP } from './schema/state.js';
import { literal, nameOf } from './values.js';

export const leaseTraits = {
  fencing: true,
  fifo: false,
  modes: ['exclusive'],
  semaphores: false,
  minTtl: 100,
  survivesFailover: false,
} as const satisfies Traits;

/** How often what lost against another transaction is sent again. */
const CONFLICTS = 8;
/** Every so many attempts some keys that nobody comes back for are cleared away. */
const SWEEP_EVERY = 1_024;
const SWEEP_KEYS = 1_000;

type Query = (sql: string) => Promise<readonly Row[]>;

/**
 * Locks by single statements on the same table that the procedures work on, where these cannot be: exclusive ones, without a line, and whoever
 * waits asks again. A lock that procedures gave out, or that somebody stands in line for with them, is not free here; one that was taken here
 * is held for them.
 *
 * Nothing here goes by the count of changed rows where a statement may find its row as it is: clients differ in what they count.
 */
export class MysqlLeases implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'mysql';
  readonly traits: Traits = leaseTraits;
  readonly address: string;
  readonly #database: MysqlDatabase;
  readonly #table: string;
  #attempts = 0;

  /** @param connect makes the link, when it is first needed */
  constructor(
    private readonly connect: () => Promise<MysqlLink>,
    private readonly settings: MysqlSettings,
  ) {
    this.address = settings.address;
    this.#table = settings.names.table('lock');
    this.#database = new MysqlDatabase(connect, settings);
  }

  forApplication(): KeyBackend {
    return new MysqlLeases(this.connect, this.settings);
  }

  async warnings(): Promise<readonly string[]> {
    return [WITHOUT_LINE];
  }

  async ping(): Promise<void> {
    await this.#database.ask('select 1');
  }

  async attempt({ key, owner, ttl }: Claim): Promise<Attempt> {
    if (++this.#attempts % SWEEP_EVERY === 0) void this.#sweep().catch(() => undefined);
    const { name, whole } = nameOf(key);
    const [k, me, us] = [literal(name), literal(owner), Math.ceil(ttl) * 1000];
    const { names } = this.settings;
    const take = `update ${this.#table}
      set token = if(owner <=> ${me}, token, greatest(token + ${STEP}, ${CLOCK})), since = if(owner <=> ${me}, since, ${CLOCK}),
        ends = if(owner <=> ${me}, greatest(ends, ${CLOCK} + ${us}), ${CLOCK} + ${us}), owner = ${me}, size = null, shared = 0, line = null
      where name = ${k} and (owner is null or owner = ${me} or ends <= ${CLOCK})
        and (not shared or not exists (select 1 from ${names.table('holder')} where name = ${k} and ends > ${CLOCK}))
        and (line is null or owner <=> ${me} or not exists (select 1 from ${names.table('waiter')} where name = ${k} and deadline > ${CLOCK}))`;
    const make = `insert ignore into ${this.#table} (name, owner, token, ends, since, whole_name)
      values (${k}, ${me}, ${CLOCK}, ${CLOCK} + ${us}, ${CLOCK}, ${literal(whole)})`;
    // Locking, so that it is the primary that answers, and with what is true now.
    const look = `select owner, token, ends - ${CLOCK}, ${CLOCK} from ${this.#table} where name = ${k} for update`;
    const row = await this.#together(async (query) => {
      await query(take);
      const [found] = await query(look);
      if (found) return found;
      // Not in one transaction with a look at a row that is missing, which would keep others from making it.
      await query('commit');
      await query(make);
      return (await query(look))[0];
    });
    const [holder, token, left, at] = row ?? [];
    const now = Number(at) / 1000;
    if (holder === owner) return { granted: true, fencingToken: BigInt(token ?? 0), at: now };
    const busy = { granted: false, retryAfterMs: Math.max(1, Number(left) / 1000 + 1), at: now } as const;
    // Free and yet not given: somebody is in line for it, or shares it.
    return holder ? { ...busy, holder: holder.replace(/~$/, '') } : { granted: false, at: now };
  }

  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    if (claims.length === 0) return [];
    const some = claims.map(({ key, owner, ttl }) => ({ name: nameOf(key).name, owner, ttl: Math.ceil(ttl) * 1000 }));
    const ttls = some.map(
      ({ name, owner, ttl }) => `when name = ${literal(name)} and owner = ${literal(owner)} then ${ttl}`,
    );
    const names = some.map(({ name }) => literal(name)).join();
    const rows = await this.#together(async (query) => {
      await query(`update ${this.#table} set ends = greatest(ends, ${CLOCK} + case ${ttls.join(' ')} else 0 end)
        where name in (${names}) and owner in (${some.map(({ owner }) => literal(owner)).join()}) and ends > ${CLOCK}`);
      return query(
        `select hex(name), owner from ${this.#table} where name in (${names}) and ends > ${CLOCK} for update`,
      );
    });
    const owners = new Map(rows.map(([name, owner]) => [name, owner]));
    return some.map(({ name, owner }) => owners.get(name.toString('hex').toUpperCase()) === owner);
  }

  async release({ key, owner }: Claim, keepMs = 0): Promise<boolean> {
    const [k, me] = [literal(nameOf(key).name), literal(owner)];
    const kept = `owner = ${literal(`${owner}~`)}, ends = ${CLOCK} + ${Math.ceil(keepMs) * 1000}`;
    return this.#together(async (query) => {
      const [held] = await query(`select 1 from ${this.#table} where name = ${k} and owner = ${me} for update`);
      if (held) {
        await query(
          `update ${this.#table} set ${keepMs > 0 ? kept : 'owner = null'} where name = ${k} and owner = ${me}`,
        );
      }
      return held !== undefined;
    });
  }

  /** Its holder hears of it by the next renewal, for nothing is pushed. */
  async forceRelease(key: string): Promise<boolean> {
    const k = literal(nameOf(key).name);
    const { holders } = await this.inspect(key);
    await this.#together(async (query) => {
      await query(`update ${this.#table} set owner = null, shared = 0 where name = ${k}`);
      await query(`delete from ${this.settings.names.table('holder')} where name = ${k}`);
    });
    return holders.length > 0;
  }

  inspect(key: string): Promise<KeyState> {
    return inspect((sql) => this.#database.see(sql), this.settings.names, key);
  }

  list(query: ListQuery): Promise<ListPage> {
    return listKeys((sql) => this.#database.see(sql), this.settings.names, query);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** On one connection, in a transaction that ends with it; again where another transaction was preferred. */
  async #together<T>(work: (query: Query) => Promise<T>): Promise<T> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await this.#database.with((client) =>
          client.on(async (query) => {
            await query('start transaction');
            const result = await work(query);
            await query('commit');
            return result;
          }),
        );
      } catch (error) {
        if (!isConflict(error) || conflicts >= CONFLICTS) throw explained(error);
      }
    }
  }

  /** Looks first, without a lock: a scan that deletes would keep all rows that it passes locked. */
  async #sweep(): Promise<void> {
    const old = `${CLOCK} - ${this.settings.counterTtl * 1000}`;
    const unused = `ends < ${old} and token < ${old} and not shared and line is null`;
    const rows = await this.#database.see(`select hex(name) from ${this.#table} where ${unused} limit ${SWEEP_KEYS}`);
    if (rows.length === 0) return;
    const names = rows.map(([name]) => literal(Buffer.from(name ?? '', 'hex'))).join();
    await this.#database.ask(`delete from ${this.#table} where name in (${names}) and ${unused}`);
  }
}

const WITHOUT_LINE =
  'Waiters ask again and again, and in no order, because mysql() was given `procedures: false`. There are no shared locks and no limits this way.';
