import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { postgres } from '../../lib/backends/postgres/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { askPostgres, type PostgresServer, startPostgres } from '../servers/postgres.js';
import { inLine } from './support/in-pod.js';

/** A NOTIFY is one lock for the whole database at each commit, so none is sent that nobody of another process needs. */
describe('On PostgreSQL', () => {
  let server: PostgresServer;
  const ask = (sql: string) => askPostgres(server.url, sql);

  beforeAll(async () => {
    server = await startPostgres({ own: true });
    await engine().ping();
    // Every NOTIFY of ours goes through a function that counts. A sequence counts also what is rolled back.
    await ask(`
      create sequence notified;
      create function counted_notify(channel text, payload text) returns void language plpgsql as
        $$ begin perform nextval('public.notified'); perform pg_notify(channel, payload); end $$;
      do $$ declare f record; begin
        for f in select oid from pg_proc where pronamespace = 'distributed_lock'::regnamespace and prosrc like '%pg_notify(%' loop
          execute replace(pg_get_functiondef(f.oid), 'pg_notify(', 'public.counted_notify(');
        end loop;
      end $$`);
  });
  afterAll(() => server.stop());

  const open: LockEngine[] = [];
  function engine(): LockEngine {
    const made = new LockEngine(postgres({ connectionString: server.url }));
    open.push(made);
    return made;
  }
  afterAll(() => Promise.all(open.map((one) => one.close(0))));
  const notified = async () => {
    const [row] = await ask('select case when is_called then last_value else 0 end as count from notified');
    return Number(row?.['count']);
  };

  it('32 keys that nobody waits for are locked and released without a single NOTIFY', async () => {
    const locks = engine();
    const before = await notified();
    const work = async (key: string) => {
      for (let i = 0; i < 20; i++) await locks.withLock(key, () => undefined);
    };
    await Promise.all(Array.from({ length: 32 }, (_, i) => work(`quiet ${i}`)));
    expect((await notified()) - before).toBe(0);
  });

  it('those of one process hand over without one, those of two with one each, so that the count above means something', async () => {
    const [one, other] = [engine(), engine()];
    const handOver = async (from: LockEngine, to: LockEngine, key: string) => {
      const lock = await from.acquire(key);
      const turn = to.acquire(key);
      await inLine(from, key, 1);
      const reachable = 'select from distributed_lock.waiters where not deaf and not distributed_lock.dead_v1(inbox)';
      await eventually('it can be told', async () => (await ask(reachable)).length === 1);
      const before = await notified();
      await lock.release();
      await (await turn).release();
      return (await notified()) - before;
    };
    expect(await handOver(one, other, 'between')).toBe(1);
    const inside = engine();
    expect(await handOver(inside, inside, 'inside')).toBe(0);
    onTestFinished(() => inside.close(0));
  });
});
