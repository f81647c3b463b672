import { Controller, Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, getLockServiceToken, Locked, type LockService } from 'nestjs-distributed-lock';
import { consul } from 'nestjs-distributed-lock/consul';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { redis } from 'nestjs-distributed-lock/redis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startConsul } from '../servers/consul.js';
import { startEtcd } from '../servers/etcd.js';
import { startRedis } from '../servers/redis.js';

let servers: readonly [
  Awaited<ReturnType<typeof startRedis>>,
  Awaited<ReturnType<typeof startEtcd>>,
  Awaited<ReturnType<typeof startConsul>>,
];

beforeAll(async () => {
  servers = await Promise.all([startRedis(), startEtcd(), startConsul()]);
});
afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

it('one application uses Redis, etcd and Consul beside each other, and a key of one is none of the others', async () => {
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
  @Controller()
  class Unused {}
  @Module({
    imports: [
      DistributedLockModule.forRoot({
        backends: {
          redis: redis({ url: servers[0].url }),
          etcd: etcd({ hosts: servers[1].url }),
          consul: consul({ url: servers[2].url }),
        },
        default: 'redis',
      }),
    ],
    controllers: [Unused],
    providers: [Work],
  })
  class App {}

  const module = await Test.createTestingModule({ imports: [App] }).compile();
  const app = module.createNestApplication({ logger: false });
  await app.init();
  const services = ['redis', 'etcd', 'consul'].map((name) => app.get<LockService>(getLockServiceToken(name)));
  const locks = await Promise.all(services.map((service) => service.acquire('job', { wait: 0 })));
  for (const service of services) expect(await service.tryAcquire('job')).toBe(null);
  for (const lock of locks) expect(await lock.release()).toBe(true);

  const work = app.get(Work);
  await Promise.all(Array.from({ length: 10 }, () => work.onConsul()));
  expect(work.most).toBe(1);
  await app.close();
});
