/** A client in a transaction, as `pg`, its pools and most ORMs give one. */
export interface TransactionClient {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/**
 * Locks a key until the transaction that the client is in ends, however it ends. For code that is in a transaction anyway and needs nothing
 * else: no lease, no line, no fencing token. Waits as long as `lock_timeout` of the transaction allows.
 *
 * It is a lock of another kind than those of `LockService`: the two do not exclude each other.
 *
 * ```ts
 * await client.query('begin');
 * await withLockInTransaction(client, `stock:${id}`);
 * … // alone among those who do the same
 * await client.query('commit');
 * ```
 *
 * @throws Error when the client is in no transaction: the lock would have been released at once
 */
export async function withLockInTransaction(client: TransactionClient, key: string): Promise<void> {
  // Two statements of one transaction began it at the same time; outside of one each is a transaction by itself.
  const [before, now] = [await startOf(client), await startOf(client)];
  if (before !== now) {
    throw new Error(
      `'${key}' is not locked: the client is in no transaction, so the lock would end with its statement. Send \`begin\` first.`,
    );
  }
  const name = key.replaceAll('\\', '\\\\').replaceAll('\0', '\\0');
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, $2))', [name, SEED]);
}

async function startOf(client: TransactionClient): Promise<unknown> {
  const { rows } = await client.query('select transaction_timestamp()::text as began', []);
  const [row] = rows;
  return typeof row === 'object' && row !== null ? Reflect.get(row, 'began') : undefined;
}

/** Apart from advisory locks that the application has on names of its own. */
const SEED = 8_315_175;
