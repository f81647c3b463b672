/** Marks SQL for the reader and his editor; it is put together as any template. */
export const sql = String.raw;

/**
 * A name as SQL takes it: `my locks` in double quotes.
 */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** The server's clock in microseconds. Written out wherever it is needed, so that it is read after the row is locked. */
export const US = '(extract(epoch from clock_timestamp()) * 1000000)::bigint';

/** From here on this transaction's commit does not wait for the disk. Only under the rule that `release.ts` explains. */
export const COMMIT_SOON = sql`perform set_config('synchronous_commit', 'off', true);`;

/** A grant must be on disk before anybody hears of it, also where the role or the database is set up otherwise. */
export const COMMIT_DURABLY = sql`
    if current_setting('synchronous_commit') = 'off' then perform set_config('synchronous_commit', 'on', true); end if;`;

/**
 * Whether the process behind an inbox is gone: the connection that it listens on holds this lock as long as it stands. A shared probe,
 * for two exclusive ones at a time would each take the other for the living process.
 */
export const isDead = (inbox: string): string =>
  `pg_try_advisory_xact_lock_shared(hashtextextended('lock_' || ${inbox}, 0))`;

/** A function of ours: with the rights of whoever calls it, and under a name that belongs to this version of its body. */
export const define = (schema: string, signature: string, returns: string, body: string): string => sql`
create or replace function ${schema}.${signature} returns ${returns} language plpgsql as $lock$${body}$lock$;
`;
