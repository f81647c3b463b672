import { parseArgs } from 'node:util';
import { postgresSchemaSql } from '../backends/postgres/schema/index.js';
import { type Command, UsageError } from './command.js';

/** Prints what `postgres({ install: false })` needs to find. */
export const postgresCommand: Command = {
  name: 'postgres',
  usage: '--sql [--schema <name>]',
  summary: 'prints the tables and functions for PostgreSQL as a migration',
  run(args) {
    const { sql, schema } = parsed(args);
    if (sql !== true) throw new UsageError('`--sql` is missing.');
    return postgresSchemaSql(schema === undefined ? {} : { schema });
  },
};

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: { sql: { type: 'boolean' }, schema: { type: 'string' } } }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
