import { postgres, type PostgresOptions } from 'nestjs-distributed-lock/postgres';
import { LockConfigurationError } from 'nestjs-distributed-lock';
import { describe, expect, it } from 'vitest';
import { nameOf, stored } from '../../lib/backends/postgres/keys.js';

describe('postgres()', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'an address that is not set',
      { connectionString: undefined },
      /^`connectionString` of postgres\(\) is undefined\./,
    ],
    ['a pool that is not set', { pool: undefined }, /^`pool` of postgres\(\) is undefined/],
    [
      'an address of something else',
      { connectionString: 'mysql://user:secret@host' },
      /^`connectionString` of postgres\(\) is no address of a PostgreSQL server(?!.*secret)/,
    ],
    ['a pool that is none', { pool: {} }, /needs a `Pool` of `pg`, and this is something else/],
    [
      'a misspelt option',
      { conectionString: 'x' },
      /^`conectionString` is not an option of postgres\(\)\. Known: `pool`/,
    ],
    [
      'an address in place of options',
      'postgres://host',
      /^The options of postgres\(\) are an object; this is a string\.$/,
    ],
    ['no connections', { max: 0 }, /^`max` of postgres\(\) is 0; it is a whole number/],
    ['a schema without a name', { schema: '' }, /^`schema` of postgres\(\) is ""/],
    ['a schema whose name the server would cut off', { schema: 'x'.repeat(64) }, /up to 63 bytes/],
  ])('refuses %s before anything is asked', (_, options, message) => {
    expect(() => postgres(options as PostgresOptions)).toThrow(LockConfigurationError);
    expect(() => postgres(options as PostgresOptions)).toThrow(message);
  });

  it.each(['postgres://host', 'postgresql://user:secret@host:6432/db?sslmode=require', 'postgres:///db'])(
    'takes %s as an address, and shows neither user nor password',
    (connectionString) => {
      const backend = postgres({ connectionString });
      expect(backend.kind).toBe('postgres');
      expect(Reflect.get(backend, 'address')).not.toMatch(/secret|user/);
    },
  );
});

describe('what a key is called in a table', () => {
  it('is another for every name, however long, and leads back to it', () => {
    const names = [
      'a',
      'a\0',
      'a\\0',
      'a\\\\0',
      'x'.repeat(2_000),
      `${'x'.repeat(1_999)}y`,
      '\\h',
      '🔒'.repeat(600),
      '\0'.repeat(999),
    ];
    const all = names.map(stored);
    expect(new Set(all.map(({ key }) => key)).size).toBe(names.length);
    for (const [index, { key, name }] of all.entries()) {
      expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1_000);
      expect(key).not.toContain('\0');
      expect(nameOf(name ?? key)).toBe(names[index]);
    }
  });
});
