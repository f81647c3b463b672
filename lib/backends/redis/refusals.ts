/**
 * What the server's errors say. Each begins with a word in capitals; before Redis 7 that of a command inside of a script stands behind
 * where the script failed: `ERR Error running script (call to f_…): @user_script:3: @user_script: 3: -READONLY You can't …`.
 */
const WORD = /^(?:(?:ERR Error running script .*?)?@user_script: ?\d+: -?)?([A-Z]{2,})\b/;

/** The word that the server's error begins with, or nothing if it is no error of the server's. */
export function wordOf(error: unknown): string | undefined {
  return error instanceof Error && !('code' in error) ? WORD.exec(error.message)?.[1] : undefined;
}

/** The server itself said no, as to a user without the right. */
export const isRefusal = (error: unknown): error is Error => wordOf(error) !== undefined;

/** The connection leads to a replica: a primary that was demoted, or an endpoint that has another primary by now. */
export const isReadOnly = (error: unknown): boolean => wordOf(error) === 'READONLY';

/** The server does not have the script, because it was restarted or told to forget it. */
export const isNoScript = (error: unknown): boolean => wordOf(error) === 'NOSCRIPT';

/** The slot of the keys is on its way to another node, and one of the two has a part of them only. */
export const isTryAgain = (error: unknown): boolean => wordOf(error) === 'TRYAGAIN';

/** The server says no to this user, and will do so again. */
export const isDenied = (error: unknown): error is Error => /^(?:NOPERM|NOAUTH|WRONGPASS)$/.test(wordOf(error) ?? '');

export const isUnknownCommand = (error: unknown): boolean =>
  error instanceof Error && /^ERR unknown (?:sub)?command/i.test(error.message);
