/** Version of the tables' layout. A process refuses tables of a version that it does not know. */
export const TABLES_VERSION = 1;
/** Version of the procedures, which is part of their names: those of several releases of this package exist beside each other. */
export const ROUTINES_VERSION = 1;

export type Table = 'lock' | 'holder' | 'waiter' | 'inbox' | 'version';
export type Routine =
  | 'attempt'
  | 'attempt_all'
  | 'touch'
  | 'release'
  | 'renew'
  | 'take_over'
  | 'downgrade'
  | 'force'
  | 'listen'
  | 'probe'
  | 'sweep'
  // What the verbs are made of.
  | 'enter'
  | 'take'
  | 'stand_back'
  | 'serve'
  | 'post'
  | 'wake';

/** How tables and procedures are called in one database, quoted. */
export interface Names {
  readonly table: (table: Table) => string;
  readonly routine: (routine: Routine) => string;
}

/**
 * @param database where they live; `undefined` for the one that the connection has selected
 * @param prefix what their names begin with
 */
export function namesIn(database: string | undefined, prefix: string): Names {
  const qualified = (name: string): string =>
    database === undefined ? quoted(prefix + name) : `${quoted(database)}.${quoted(prefix + name)}`;
  return { table: qualified, routine: (routine) => qualified(`${routine}_v${ROUTINES_VERSION}`) };
}

/** An identifier in backticks, which every `sql_mode` reads as one. */
const quoted = (identifier: string): string => `\`${identifier.replaceAll('`', '``')}\``;
