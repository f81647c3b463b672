import { createHash } from 'node:crypto';
import { LONGEST_NAME } from './schema/index.js';

/**
 * A value as it stands in a statement. Texts are written as hexadecimal digits: no `sql_mode`, character set or quoting of the
 * client's reads them as anything else.
 */
export type Value = string | number | bigint | null | Buffer;

export function literal(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return bytes.length === 0 ? "''" : `x'${bytes.toString('hex')}'`;
}

/** What identifies a key in the tables: its name, or of a long one the beginning and a digest of the whole. */
export function nameOf(key: string): { readonly name: Buffer; readonly whole: Buffer | null } {
  const bytes = Buffer.from(key);
  if (bytes.length < LONGEST_NAME) return { name: bytes, whole: null };
  const digest = createHash('sha256').update(bytes).digest();
  return { name: Buffer.concat([bytes.subarray(0, LONGEST_NAME - digest.length), digest]), whole: bytes };
}

/** Texts in one argument, as the procedures read them: each as its length in bytes, in six digits, and its bytes. */
export function list(texts: readonly (string | number | Buffer)[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.isBuffer(text) ? text : Buffer.from(String(text));
      return [Buffer.from(String(bytes.length).padStart(6, '0')), bytes];
    }),
  );
}
