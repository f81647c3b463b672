import { describe, expect, it } from 'vitest';
import { mysqlSchemaSql } from '../../lib/backends/mysql/schema-sql.js';
import { postgresSchemaSql } from '../../lib/backends/postgres/schema/index.js';
import { run } from '../../lib/cli/run.js';

describe('npx nestjs-distributed-lock', () => {
  it('prints the migration for PostgreSQL, in the schema that is asked for', async () => {
    expect(await run(['postgres', '--sql'])).toEqual({ code: 0, out: postgresSchemaSql(), err: '' });
    const { out } = await run(['postgres', '--sql', '--schema', 'my "locks"']);
    expect(out).toContain('create schema if not exists "my ""locks""";');
    expect(out).not.toContain('"distributed_lock"');
  });

  it('prints the migration for MySQL, in the database and with the prefix that are asked for', async () => {
    expect(await run(['mysql', '--sql'])).toEqual({ code: 0, out: mysqlSchemaSql(), err: '' });
    const { out } = await run(['mysql', '--sql', '--database', 'app', '--tables', 'my_']);
    expect(out).toBe(mysqlSchemaSql({ database: 'app', prefix: 'my_' }));
  });

  it.each([
    [['postgres'], /^`--sql` is missing\.\n\nUsage: npx nestjs-distributed-lock postgres --sql/],
    [['postgres', '--sqll'], /--sqll/],
    [['postgre'], /^There is no command `postgre`\./],
    [['mysql', '--sql', '--tables', 'a b'], /^`--tables` is at most 32 letters/],
    [['list'], /^Say where the locks are: one of --redis, --redis-cluster, --redlock, --etcd, /],
    [['list', '--redis', 'redis://a', '--etcd', 'b'], /^`--redis` and `--etcd` are two servers\. Name one\./],
    [['list', '--redis', 'redis://a', '--schema', 'b'], /^`--schema` is an option of `--postgres`, not of `--redis`\./],
    [['list', '--redis', 'env:NOT_SET'], /^`--redis` names the environment variable NOT_SET, which is not set\./],
    [['list', '--redis', 'http://a'], /^`url` of redis\(\) is no address of a Redis server/],
    [['list', '--redis', 'redis://a', '--limit', '0'], /^`--limit` is "0"; it is a whole number from 1 up\./],
    [['list', '--redis', 'redis://a', '--timeout', 'soon'], /^`--timeout` is "soon", which is not a duration/],
    [['list', 'redis://user:hush@host'], /^`redis:\/\/\*\*\*@host` is no option/],
    [['inspect', '--redis', 'redis://a'], /^The key is missing\./],
    [['release', 'a', 'b', '--redis', 'redis://a'], /^`b` is one argument too many\. Name one key\./],
  ])('says how it is used for %j', async (args, message) => {
    const { code, out, err } = await run(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
    expect(err).not.toContain('hush');
  });

  it('lists its commands when asked for help', async () => {
    expect((await run([])).out).toMatch(/Usage: npx nestjs-distributed-lock postgres --sql/);
    const { code, out } = await run(['release', '--help']);
    expect([code, out]).toEqual([0, expect.stringMatching(/--yes[^]+--zookeeper <connect>[^]+Exit codes/)]);
  });
});
