import { attempt, attemptAll, remaining } from './attempt.js';
import { describe, inspect, list, sweep } from './inspect.js';
import { downgrade, force, release } from './release.js';
import { renew, takeOver } from './renew.js';
import { identifier, sql } from './sql.js';
import { state } from './state.js';
import { tables } from './tables.js';
import { touch } from './touch.js';

export { identifier } from './sql.js';

/** Where the tables and functions are, unless another name is given. */
export const DEFAULT_SCHEMA = 'distributed_lock';

/** Of the tables and functions together. It grows with every change of them. */
export const SCHEMA_VERSION = 1;

/** The oldest version of the schema whose users may go on beside this one, as they do while a new release is rolled out. */
export const WORKS_SINCE = 1;

/** Held by whoever installs, so that forty who start at once do it once. */
export const INSTALL_LOCK = "hashtextextended('nestjs-distributed-lock', 0)";

/** What is created in the schema. It may run again: what is there stays. */
export function objects(schema: string): string {
  const s = identifier(schema);
  const verbs = [
    remaining,
    attempt,
    attemptAll,
    touch,
    release,
    downgrade,
    force,
    renew,
    takeOver,
    describe,
    inspect,
    list,
  ];
  return [
    tables(s),
    state(s),
    ...verbs.map((verb) => verb(s)),
    sweep(s),
    sql`
select ${s}.unbroken_v1();
insert into ${s}.version (version, works_since) values (${SCHEMA_VERSION}, ${WORKS_SINCE}) on conflict do nothing;
`,
  ].join('');
}

/**
 * The tables and functions as a migration, for those whose applications may not create them: run it with any tool, and give
 * `postgres()` the option `install: false`. It may run again.
 *
 * @param options its `schema` is where they are put, `distributed_lock` unless told
 */
export function postgresSchemaSql({ schema = DEFAULT_SCHEMA }: { readonly schema?: string } = {}): string {
  return `-- nestjs-distributed-lock, version ${SCHEMA_VERSION} of its tables and functions for PostgreSQL.
begin isolation level read committed;
select pg_advisory_xact_lock(${INSTALL_LOCK});
create schema if not exists ${identifier(schema)};
${objects(schema)}
commit;
`;
}
