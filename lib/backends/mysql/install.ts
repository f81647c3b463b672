import type { MysqlClient, Row } from './client.js';
import { explained, isForbidden, isMissing } from './errors.js';
import { namesIn, type Names, ROUTINES_VERSION, TABLES_VERSION } from './schema/index.js';
import { type MysqlSchemaOptions, mysqlSchemaStatements } from './schema-sql.js';

/** How long one of many that start together waits for the one that installs, in seconds. */
const INSTALLING_S = 30;

/** The tables are of a version that this package cannot work with. */
export class SchemaVersionError extends Error {
  constructor(found: number) {
    super(
      `The lock tables are of version ${found}, and this release of nestjs-distributed-lock knows version ${TABLES_VERSION}. ` +
        'Let all processes use a release that knows both, or give this one tables of its own by the `prefix` option: it would not exclude the others.',
    );
    this.name = 'SchemaVersionError';
  }
}

/**
 * Makes sure that the tables and this release's procedures are there. One process of those that start together installs; who finds
 * everything in place changes nothing, and needs no right to.
 *
 * @param allowed whether to install what is missing
 * @throws SchemaVersionError when the tables belong to another release
 */
export async function install(client: MysqlClient, place: MysqlSchemaOptions, allowed: boolean): Promise<void> {
  const names = namesIn(place.database, place.prefix ?? '');
  const { procedures = true } = place;
  if ((await installed((sql) => client.ask(sql), names, procedures)) === 'all') return;
  if (!allowed) throw new Error(`The lock tables or procedures are not there, and \`install\` is false. ${HOW}`);
  try {
    await client.on(async (query) => {
      const lock = `concat('nestjs-lock:install:', sha1(concat(ifnull(database(), ''), '${sha(names)}')))`;
      // Where the server has no such locks, as some clusters, the worst is an error because it was there already.
      await query(`do get_lock(${lock}, ${INSTALLING_S})`).catch(() => undefined);
      const [mode] = await query('select @@sql_mode');
      try {
        if ((await installed(query, names, procedures)) === 'all') return;
        await query(`set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'`);
        await query('commit');
        for (const statement of mysqlSchemaStatements(place)) await query(statement);
        await query('commit');
      } finally {
        await query(`set session sql_mode = '${mode?.[0] ?? ''}'`);
        await query(`do release_lock(${lock})`).catch(() => undefined);
      }
    });
  } catch (error) {
    if (!(error instanceof Error) || !isForbidden(error)) throw explained(error);
    throw new Error(`The lock tables or procedures are not there, and cannot be made: ${error.message}. ${HOW}`, {
      cause: error,
    });
  }
}

const HOW =
  'Let somebody who may run what `mysqlSchemaSql()` of nestjs-distributed-lock/mysql returns, or grant CREATE, CREATE ROUTINE, ALTER ROUTINE and EXECUTE.';

const versions = [
  ['tables', TABLES_VERSION],
  [`routines_v${ROUTINES_VERSION}`, ROUTINES_VERSION],
] as const;

/** The last to be written is the version, so where it is right everything is. */
async function installed(
  query: (sql: string) => Promise<readonly Row[]>,
  names: Names,
  procedures: boolean,
): Promise<'all' | 'nothing' | 'procedures missing'> {
  let rows: readonly Row[];
  try {
    rows = await query(`select name, version from ${names.table('version')}`);
  } catch (error) {
    const cause = error instanceof Error && error.cause ? error.cause : error;
    // Without any right on a table the server does not say whether it exists.
    if (isMissing(cause)) return 'nothing';
    throw error;
  }
  const found = new Map(rows.map(([name, version]) => [name, Number(version)]));
  const tablesVersion = found.get('tables');
  if (tablesVersion !== undefined && tablesVersion !== TABLES_VERSION) throw new SchemaVersionError(tablesVersion);
  return versions.slice(0, procedures ? 2 : 1).every(([name, version]) => found.get(name) === version)
    ? 'all'
    : 'procedures missing';
}

/** Tables of another prefix are installed by themselves. */
const sha = (names: Names): string => names.table('lock').replace(/[^\w]/g, '');
