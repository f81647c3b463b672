export { mysql, type MysqlOptions } from './options.js';
export type { MysqlPool } from './client.js';
export { type MysqlSchemaOptions, mysqlSchemaSql, mysqlSchemaStatements } from './schema-sql.js';
