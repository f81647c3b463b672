/** What the server, or the client library, said went wrong. */
interface ServerError extends Error {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlState?: string;
}

const numberOf = (error: unknown): number => (error instanceof Error && (error as ServerError).errno) || 0;

/** The server itself said no; a connection that broke has no state of SQL. */
export const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && typeof (error as ServerError).sqlState === 'string' && numberOf(error) > 0;

/** Rolled back in favour of another transaction; every verb may be sent again. On Galera also when another node was first. */
export const isConflict = (error: unknown): boolean => [1213, 1205, 1020].includes(numberOf(error));

/** A statement that was ended from outside: a wake-up that came between two statements, or a limit on its time. */
export const isInterrupted = (error: unknown): boolean => [1317, 1969, 3024].includes(numberOf(error));

/** No such procedure, table or database: never installed, or gone with the data. */
export const isMissing = (error: unknown): boolean => [1305, 1146, 1049, 1051].includes(numberOf(error));

/** Access denied: to the database, to create, to alter routines, to a table, to a routine. */
export const isForbidden = (error: unknown): boolean => [1044, 1142, 1143, 1227, 1370, 1419].includes(numberOf(error));

/** The server ended the connection: it shuts down, or somebody asked it to. */
export const isEnded = (error: unknown): boolean => [1053, 1927].includes(numberOf(error));

/** What to do about an error, where more can be said than the server says. */
export function explained(error: unknown): unknown {
  const advice = error instanceof Error && ADVICE[numberOf(error)];
  return advice ? Object.assign(new Error(`${error.message}. ${advice}`, { cause: error }), codeOf(error)) : error;
}

const codeOf = ({ code, errno }: ServerError): object => ({ code, errno });

const ADVICE: Readonly<Record<number, string>> = {
  1290: 'The server takes no writes, as a replica does. Locks need the primary: name it in the pool, or in `uri`.',
  1836: 'The server takes no writes, as a replica does. Locks need the primary: name it in the pool, or in `uri`.',
  1792: 'The connection is set to read-only transactions. Give mysql() a pool that may write.',
  1046: 'Select a database in the pool or the `uri`, or name one in the `database` option of mysql().',
  1370: 'The user needs the right EXECUTE on the procedures of the locks: see "Rights" on the page of the backend. Where it cannot have it, `procedures: false` does without.',
  1142: 'The user lacks a right on the tables of the locks: see "Rights" on the page of the backend.',
  1665: 'The binary log is written as statements, which cannot carry the locks. Set `binlog_format` to MIXED or ROW.',
};
