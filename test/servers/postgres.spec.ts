import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { askPostgres, type PostgresServer, startPostgres, startPostgresProcess } from './postgres.js';
import { processTree } from './process-tree.js';
import { isRunning } from './process.js';

describe('A PostgreSQL of a test', () => {
  let postgres: PostgresServer;
  const ask = (text: string) => askPostgres(postgres.url, text);

  beforeAll(async () => {
    postgres = await startPostgres({ own: true });
  });
  afterAll(() => postgres.stop());
  afterEach(() => vi.unstubAllEnvs());

  it('answers at once', async () => {
    expect(await ask('select 1 as one')).toEqual([{ one: 1 }]);
    expect(postgres.url).toBe(`postgres://postgres@127.0.0.1:${postgres.port}/postgres`);
  });

  it('answers nothing while it is paused, whatever connection asks, and everything after', async () => {
    const asleep = ask('select pg_sleep(0.2), 2 as two');
    // It is at work when the server tells of it.
    await vi.waitFor(async () => {
      expect(await ask(`select from pg_stat_activity where query like '%two' and state = 'active'`)).toHaveLength(1);
    });
    let answered = false;
    void asleep.then(() => (answered = true));
    postgres.pause();
    await expect(ask('select 1')).rejects.toThrow(/timeout|terminated/);
    expect(answered).toBe(false);
    postgres.resume();
    expect((await asleep)[0]?.['two']).toBe(2);
  });

  it('keeps its data across a kill and a restart, or forgets it when told to', async () => {
    await ask('create table word as select 1');
    await postgres.kill();
    await expect(ask('select 1')).rejects.toThrow();
    await postgres.restart();
    expect(await ask('select from word')).toHaveLength(1);
    await postgres.restart({ keepData: false });
    await expect(ask('select from word')).rejects.toThrow(/does not exist/);
  });

  it('takes settings, and syncs its commits where that is asked for', async () => {
    await using durable = await startPostgres({ own: true, durable: true, settings: { wal_writer_delay: '10s' } });
    const setting = async (name: string) =>
      Object.values((await askPostgres(durable.url, `show ${name}`))[0] ?? {}).join();
    expect([await setting('fsync'), await setting('wal_writer_delay')]).toEqual(['on', '10s']);
  });

  it('leaves neither a process nor a folder when it is stopped, paused or not', async () => {
    for (const paused of [false, true]) {
      const server = await startPostgresProcess();
      const { pid, dataDir } = server;
      const all = processTree(pid);
      expect(all.length).toBeGreaterThan(3);
      expect([all.every(isRunning), existsSync(dataDir)]).toEqual([true, true]);
      if (paused) server.pause();
      await server.stop();
      expect([all.some(isRunning), existsSync(dataDir)]).toEqual([false, false]);
    }
  });

  it('may be one that POSTGRES_URL names, which is then not ours to control', async () => {
    vi.stubEnv('POSTGRES_URL', postgres.url);
    const named = await startPostgres();
    expect(named).toMatchObject({ url: postgres.url, port: postgres.port });
    await expect(named.kill()).rejects.toThrow(/POSTGRES_URL names a server that is not ours/);
    await named.stop();
    expect(await ask('select 1 as one')).toEqual([{ one: 1 }]);
  });
});
