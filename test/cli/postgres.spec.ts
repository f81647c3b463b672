import { describe, expect, it } from 'vitest';
import { postgresSchemaSql } from '../../lib/backends/postgres/schema/index.js';
import { run } from '../../lib/cli/run.js';

describe('npx nestjs-distributed-lock postgres', () => {
  it('prints the migration with --sql, in the schema that is asked for', async () => {
    expect(await run(['postgres', '--sql'])).toEqual({ code: 0, out: postgresSchemaSql(), err: '' });
    const { out } = await run(['postgres', '--sql', '--schema', 'my "locks"']);
    expect(out).toContain('create schema if not exists "my ""locks""";');
    expect(out).not.toContain('"distributed_lock"');
  });

  it.each([
    [['postgres'], /^`--sql` is missing\.\n\nUsage: npx nestjs-distributed-lock postgres --sql/],
    [['postgres', '--sqll'], /--sqll/],
    [['postgre'], /^There is no command `postgre`\./],
  ])('says how it is used for %j', async (args, message) => {
    const { code, out, err } = await run(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });

  it('lists its commands when asked for help', async () => {
    expect((await run([])).out).toMatch(/Usage: npx nestjs-distributed-lock postgres --sql/);
  });
});
