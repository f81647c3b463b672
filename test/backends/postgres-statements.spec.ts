import { expect, it } from 'vitest';
import { Installation } from '../../lib/backends/postgres/installation.js';
import type { PostgresPool, Statement } from '../../lib/backends/postgres/pool.js';
import { Statements } from '../../lib/backends/postgres/statements.js';

/** A pool that keeps what it was asked, and refuses once where a test says so. */
function statementsOver({ prepared, schema = 'locks' }: { prepared?: boolean; schema?: string } = {}) {
  const asked: (string | undefined)[] = [];
  let refusal: string | undefined;
  const pool = {
    options: {},
    on: () => undefined,
    connect: () => Promise.reject(new Error('no connection')),
    end: () => Promise.resolve(),
    async query({ text, name }: Statement) {
      if (text.includes('version')) return { rows: [[1, 1]] };
      asked.push(name);
      const code = refusal;
      refusal = undefined;
      if (code !== undefined) throw Object.assign(new Error('refused'), { code });
      return { rows: [['done']] };
    },
  } satisfies PostgresPool;
  const statements = new Statements(pool, new Installation(pool, schema, true), schema, 5, prepared);
  return { statements, asked, refuseOnce: (code: string) => void (refusal = code) };
}

it('statements are prepared once it is known that no pooler is in between, unless the option says otherwise', async () => {
  const named = async (prepared?: boolean) => {
    const { statements, asked } = statementsOver(prepared === undefined ? {} : { prepared });
    await statements.call('renew_v1', []);
    statements.direct();
    await statements.call('renew_v1', []);
    return asked.map((name) => name !== undefined);
  };
  expect(await named()).toEqual([false, true]);
  expect(await named(false)).toEqual([false, false]);
  expect(await named(true)).toEqual([true, true]);
});

it('two schemas over one pool prepare under different names', async () => {
  const names = await Promise.all(
    ['one', 'other'].map(async (schema) => {
      const { statements, asked } = statementsOver({ prepared: true, schema });
      await statements.call('renew_v1', []);
      return asked[0];
    }),
  );
  expect(new Set(names).size).toBe(2);
});

it.each(['26000', '42P05'])(
  'a connection that forgot what was prepared (%s) costs one repeat, and no names after',
  async (code) => {
    const { statements, asked, refuseOnce } = statementsOver();
    statements.direct();
    refuseOnce(code);
    expect(await statements.call('renew_v1', [])).toBe('done');
    await statements.call('renew_v1', []);
    expect(asked.map((name) => name !== undefined)).toEqual([true, false, false]);
  },
);
