export { postgres, type PostgresAddress, type PostgresOptions } from './options.js';
export type { ListeningClient, PooledClient, PostgresPool } from './pool.js';
export { postgresSchemaSql } from './schema/index.js';
export { type TransactionClient, withLockInTransaction } from './transaction.js';
