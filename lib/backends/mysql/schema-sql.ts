import { namesIn, ROUTINES_VERSION, routines, tables, TABLES_VERSION } from './schema/index.js';

/** Where the tables and procedures are to be. */
export interface MysqlSchemaOptions {
  /** Default: the database that the connection has selected. */
  readonly database?: string;
  /** As of `mysql()`. @default 'distributed_lock_' */
  readonly prefix?: string;
  /** As of `mysql()`. @default true */
  readonly procedures?: boolean;
}

/**
 * What `mysql({ install: false })` expects to find, one statement each, for a migration of TypeORM, Knex or another library: run them one
 * after another, without parameters.
 */
export function mysqlSchemaStatements({
  database,
  prefix = 'distributed_lock_',
  procedures = true,
}: MysqlSchemaOptions = {}): readonly string[] {
  const names = namesIn(database, prefix);
  const version = (name: string, number: number): string =>
    `insert into ${names.table('version')} (name, version) values ('${name}', ${number}) on duplicate key update version = ${number}`;
  if (!procedures) return [...tables(names), version('tables', TABLES_VERSION)];
  return [
    ...tables(names),
    ...routines(names).flatMap((routine) => [
      `drop procedure if exists ${/^create procedure ([^(]+)\(/.exec(routine)?.[1] ?? ''}`,
      routine,
    ]),
    version('tables', TABLES_VERSION),
    version(`routines_v${ROUTINES_VERSION}`, ROUTINES_VERSION),
  ];
}

/** The same as a script for the `mysql` or `mariadb` command. */
export function mysqlSchemaSql(options: MysqlSchemaOptions = {}): string {
  return [
    'delimiter //',
    ...mysqlSchemaStatements(options).map((statement) => `${statement}\n//`),
    'delimiter ;',
    '',
  ].join('\n');
}
