/** The five characters by which PostgreSQL says what went wrong. */
function codeOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** The schema, a table or a function is not there. */
export const isMissing = (error: unknown): boolean => ['3F000', '42P01', '42883'].includes(codeOf(error) ?? '');

/** Rolled back for the sake of another transaction at the same time; the same again may succeed. */
export const isSerialization = (error: unknown): boolean => ['40001', '40P01'].includes(codeOf(error) ?? '');

/** A connection does not know the statement that was prepared on it, or knows one that was not: the call was not made. */
export const isNotPrepared = (error: unknown): boolean => ['26000', '42P05'].includes(codeOf(error) ?? '');

/** What to do about it, for what a user meets first. */
function adviceOn(error: unknown, schema: string): string | undefined {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : '';
  if (code === '25006')
    return 'this server only reads, as a replica does: point the backend at the primary, or let the role write';
  if (isMissing(error))
    return `the tables of the locks are not in the schema "${schema}": run \`npx nestjs-distributed-lock postgres --sql\` as a migration, or leave out \`install: false\``;
  if (code === '42501')
    return `the role lacks a right: it needs those that the page of the backend lists under "Rights", or a migration run by somebody else (\`npx nestjs-distributed-lock postgres --sql\`) and \`install: false\``;
  if (code === '28P01' || code === '28000') return 'the server refused the user or the password';
  if (code === '53300') return 'the server has no connection left for this role or database';
  if (code === '57014')
    return 'the server ended the statement, as `statement_timeout` of the role or the database asks';
  if (message === 'timeout exceeded when trying to connect')
    return 'the pool had no connection free in its `connectionTimeoutMillis`, or the server did not answer: give the pool a larger `max`, or the locks a pool of their own (`postgres({ connectionString })`)';
  if (message === 'Cannot use a pool after calling end on the pool')
    return 'the pool was ended before the locks were: end it after the application has closed';
  return undefined;
}

/** The error with what to do about it, where that is known. */
export function explained(error: unknown, schema: string): unknown {
  const advice = adviceOn(error, schema);
  if (advice === undefined || !(error instanceof Error)) return error;
  return new Error(`${error.message}; ${advice}`, { cause: error });
}
