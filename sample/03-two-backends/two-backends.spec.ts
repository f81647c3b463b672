import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Etcd3 } from 'etcd3';
import { getLockServiceToken, LockService } from 'nestjs-distributed-lock';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type EtcdServer, startEtcd } from '../../test/servers/etcd.js';
import { type RedisServer, startRedis } from '../../test/servers/redis.js';

describe('the bank, in two processes as far as its locks can tell', () => {
  let servers: readonly [RedisServer, EtcdServer];
  let apps: INestApplication[] = [];

  beforeAll(async () => {
    servers = await Promise.all([startRedis(), startEtcd()]);
    vi.stubEnv('REDIS_URL', servers[0].url);
    vi.stubEnv('ETCD_HOSTS', servers[1].url);
    const { AppModule } = await import('./src/app.module.js');
    apps = await Promise.all(
      [1, 2].map(async () => {
        const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
        const app = module.createNestApplication({ logger: false });
        await app.listen(0, '127.0.0.1');
        return app;
      }),
    );
  }, 60_000);
  afterAll(async () => {
    vi.unstubAllEnvs();
    for (const app of apps) {
      app.get(Etcd3).close();
      await app.close();
    }
    await Promise.all((servers ?? []).map((server) => server.stop()));
  });

  async function ask(app: number, method: string, path: string, body?: object): Promise<any> {
    const url = `${await apps[app % 2]!.getUrl()}/${path}`;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    return { status: response.status, ...(text.startsWith('{') ? JSON.parse(text) : {}) };
  }

  it('moves money both ways at once, and none of it gets lost', async () => {
    for (const account of ['ann', 'bob']) await ask(0, 'PUT', `accounts/${account}`, { amount: 100 });
    const transfers = Array.from({ length: 20 }, (_, i) => {
      const [from, to] = i % 2 ? ['ann', 'bob'] : ['bob', 'ann'];
      return ask(Math.floor(i / 2), 'POST', 'transfers', { from, to, amount: i });
    });
    for (const { status } of await Promise.all(transfers)) expect(status).toBe(201);
    const [ann, bob] = [await ask(0, 'GET', 'accounts/ann'), await ask(1, 'GET', 'accounts/bob')];
    // Odd ones from ann to bob, even ones back.
    expect([ann.balance, bob.balance]).toEqual([90, 110]);
  });

  it('writes its report with the proof that the lock is still held', async () => {
    expect(await ask(0, 'POST', 'report')).toMatchObject({ status: 201, written: true });
    const { ReportService } = await import('./src/report.service.js');
    const strict = apps[1]!.get<LockService>(getLockServiceToken('strict'));
    const stolen = apps[0]!.get(ReportService).close(async (lock) => {
      await strict.forceRelease('report');
      return `written by one who lost ${lock.key}`;
    });
    // Not written, and told so when its lock is found to be gone.
    await stolen.then(
      (written) => expect(written).toBe(false),
      (error: unknown) => expect(String(error)).toMatch(/LockLostError/),
    );
    expect(await apps[1]!.get(Etcd3).get('report').string()).toMatch(/^closed at/);
  });

  it('refreshes a rate once, under a lock of the other backend', async () => {
    const { RatesService } = await import('./src/rates.service.js');
    await Promise.all([0, 1, 2, 3].map((app) => ask(app, 'POST', 'rates/CHF')));
    expect(apps[0]!.get(RatesService).fetched + apps[1]!.get(RatesService).fetched).toBe(1);
  });

  it('has two services for locks that know nothing of each other', async () => {
    const [quick, strict] = [apps[0]!.get(LockService), apps[0]!.get<LockService>(getLockServiceToken('strict'))];
    expect([quick.backend, strict.backend]).toEqual(['quick', 'strict']);
    const [one, other] = [await quick.acquire('same'), await strict.acquire('same')];
    expect(one.held && other.held).toBe(true);
    await one.release();
    await other.release();
  });
});
