import { mysqlSchemaSql } from '../backends/mysql/schema-sql.js';
import { none, parsed } from './arguments.js';
import { type Command, UsageError } from './command.js';

/** Prints what `mysql({ install: false })` needs to find. */
export const mysqlCommand: Command = {
  name: 'mysql',
  usage: '--sql [--database <name>] [--tables <prefix>]',
  summary: 'prints the tables and procedures for MySQL and MariaDB as a migration',
  run(args) {
    const { values, positionals } = parsed(args, {
      sql: { type: 'boolean' },
      database: { type: 'string' },
      tables: { type: 'string' },
    });
    none(positionals);
    if (values.sql !== true) throw new UsageError('`--sql` is missing.');
    const { database, tables } = values;
    if (tables !== undefined && !/^\w{0,32}$/.test(tables))
      throw new UsageError('`--tables` is at most 32 letters, digits and underscores.');
    return mysqlSchemaSql({ ...(database && { database }), ...(tables !== undefined && { prefix: tables }) });
  },
};
