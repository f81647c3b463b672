import { createHash } from 'node:crypto';

/** A script and the digest that the server knows it by. */
export interface Script {
  readonly text: string;
  readonly sha: string;
  /**
   * What can be answered with KEYS[1] alone, or an error. While a slot of a cluster is on its way from one node to another, a
   * script with several keys only runs where all of them are, and most locks lack one of theirs; a single key is always somewhere.
   */
  readonly narrow?: Script;
  /**
   * Run before the server is taught this script, on the same connection: it finds out whether the server was restarted. A restarted server
   * knows no scripts, so it is never asked before that.
   */
  readonly first?: string;
}

/** How many of KEYS belong to each lock. */
export const KEYS_OF_A_LOCK = 3;

/** Marks text as Lua, for editors. */
export const lua = String.raw;

export function script(...parts: string[]): Script {
  const text = parts.join('');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
