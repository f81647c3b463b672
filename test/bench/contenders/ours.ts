import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { importBuilt } from '../built.js';
import { type Contender, LEASE_MS, type Locker } from './contender.js';

@Module({})
class Application {}

/** As an application has it: the module with a backend, and its `LockService`. */
async function open(client: object, close: () => void): Promise<Locker> {
  const { DistributedLockModule, LockService } =
    await importBuilt<typeof import('nestjs-distributed-lock')>('index.js');
  const { redis } = await importBuilt<typeof import('nestjs-distributed-lock/redis')>('backends/redis/index.js');
  const app = await NestFactory.createApplicationContext(
    { module: Application, imports: [DistributedLockModule.forRoot({ backend: redis({ client: client as Redis }) })] },
    { logger: false },
  );
  const locks = app.get(LockService);
  const options = { ttl: LEASE_MS, wait: '5m' } as const;
  return {
    async acquire(key) {
      const lock = await locks.acquire(key, options);
      return () => lock.release();
    },
    async close() {
      await app.close();
      close();
    },
  };
}

export const ours: readonly Contender[] = [
  {
    name: 'ours',
    about: 'this package on ioredis',
    kind: 'ours',
    waits: 'handed',
    renews: true,
    sends: { evalsha: 1, eval: 1, subscribe: 1, ssubscribe: 1 },
    async open(port) {
      const client = new Redis(port);
      await client.ping();
      return open(client, () => client.disconnect());
    },
  },
  {
    name: 'ours on node-redis',
    about: 'this package on @redis/client',
    kind: 'ours',
    waits: 'handed',
    renews: true,
    sends: { evalsha: 1, eval: 1, subscribe: 1, ssubscribe: 1 },
    async open(port) {
      const { createClient } = await import('@redis/client');
      const client = await createClient({ socket: { port } }).connect();
      return open(client, () => client.destroy());
    },
  },
];
