import { postgresSchemaSql } from '../backends/postgres/schema/index.js';
import { none, parsed } from './arguments.js';
import { type Command, UsageError } from './command.js';

/** Prints what `postgres({ install: false })` needs to find. */
export const postgresCommand: Command = {
  name: 'postgres',
  usage: '--sql [--schema <name>]',
  summary: 'prints the tables and functions for PostgreSQL as a migration',
  run(args) {
    const { values, positionals } = parsed(args, { sql: { type: 'boolean' }, schema: { type: 'string' } });
    none(positionals);
    if (values.sql !== true) throw new UsageError('`--sql` is missing.');
    return postgresSchemaSql(values.schema === undefined ? {} : { schema: values.schema });
  },
};
