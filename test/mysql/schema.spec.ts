import { expect, it } from 'vitest';
import { mysqlSchemaSql, mysqlSchemaStatements } from '../../lib/backends/mysql/index.js';
import { digest, ROUTINES_VERSION, TABLES_VERSION } from '../../lib/backends/mysql/schema/index.js';

it('what is installed changes only with its version: whoever finds the version in place does not look further', () => {
  expect([TABLES_VERSION, ROUTINES_VERSION, digest()]).toMatchInlineSnapshot(`
    [
      1,
      1,
      "4b14b28d9bbb5869",
    ]
  `);
});

it('every procedure has the rights of its caller, never those of who installed it', () => {
  const procedures = mysqlSchemaStatements().filter((statement) => statement.startsWith('create procedure'));
  expect(procedures.length).toBeGreaterThan(10);
  for (const procedure of procedures) expect(procedure).toMatch(/sql security invoker/);
});

it('the script names the database and the prefix that it was asked for', () => {
  const sql = mysqlSchemaSql({ database: 'shop', prefix: 'my_' });
  expect(sql).toContain('create table if not exists `shop`.`my_lock`');
  expect(sql).toContain('call `shop`.`my_enter_v1`');
  expect(sql).not.toContain('distributed_lock_');
});
