import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DistributedLockModule,
  getLockServiceToken,
  type LockBackend,
  Locked,
  type LockService,
  memory,
} from 'nestjs-distributed-lock';
import { consul } from 'nestjs-distributed-lock/consul';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { mysql } from 'nestjs-distributed-lock/mysql';
import { postgres } from 'nestjs-distributed-lock/postgres';
import { redis } from 'nestjs-distributed-lock/redis';
import { zookeeper } from 'nestjs-distributed-lock/zookeeper';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startConsul } from '../servers/consul.js';
import { startEtcd } from '../servers/etcd.js';
import { startMariadb } from '../servers/mariadb.js';
import { startPostgres } from '../servers/postgres.js';
import { startRedis } from '../servers/redis.js';
import { startZooKeeper } from '../servers/zookeeper.js';

const servers: { stop(): unknown }[] = [];
let backends: Readonly<Record<string, LockBackend>>;

async function started<T extends { stop(): unknown }>(start: Promise<T>): Promise<T> {
  const server = await start;
  servers.push(server);
  return server;
}

beforeAll(async () => {
  const [r, e, c, z, p, m] = await Promise.all([
    started(startRedis()),
    started(startEtcd()),
    started(startConsul()),
    started(startZooKeeper()),
    started(startPostgres()),
    started(startMariadb()),
  ]);
  backends = {
    memory: memory(),
    redis: redis({ url: r.url }),
    etcd: etcd({ hosts: e.url }),
    consul: consul({ url: c.url }),
    zookeeper: zookeeper({ connect: z.host }),
    postgres: postgres({ connectionString: p.url }),
    mysql: mysql({ uri: m.uri }),
  };
}, 90_000);
afterAll(() => Promise.all(servers.map((server) => server.stop())));

it('one application uses all servers beside each other, twice, and a key of one is none of the others', async () => {
  const names = Object.keys(backends);
  @Injectable()
  class Work {
    inside = 0;
    most = 0;

    @Locked('job', { backend: 'consul' })
    async onConsul(): Promise<void> {
      this.most = Math.max(this.most, ++this.inside);
      await new Promise((resolve) => setImmediate(resolve));
      this.inside--;
    }
  }
  @Module({ imports: [DistributedLockModule.forRoot({ backends, default: 'redis' })], providers: [Work] })
  class App {}

  for (const _ of ['at first', 'after it was closed']) {
    const app = await Test.createTestingModule({ imports: [App] }).compile();
    app.useLogger(false);
    await app.init();
    const services = names.map((name) => app.get<LockService>(getLockServiceToken(name)));
    const locks = await Promise.all(services.map((service) => service.acquire('job', { wait: 0 })));
    for (const service of services) expect(await service.tryAcquire('job')).toBe(null);
    const next = services.map((service) => service.acquire('job'));
    for (const lock of locks) expect(await lock.release()).toBe(true);
    for (const lock of await Promise.all(next)) expect(await lock.release()).toBe(true);

    const work = app.get(Work);
    await Promise.all(Array.from({ length: 10 }, () => work.onConsul()));
    expect(work.most).toBe(1);
    await app.close();
  }
});
