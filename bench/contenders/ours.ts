import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { importBuilt } from '../built.js';
import { type Contender, LEASE_MS, type Locker } from './contender.js';

@Module({})
class Application {}

/** As an application has it: the module with a backend, and its `LockService`. */
async function open(client: object, close: () => void, { fair = true } = {}): Promise<Locker> {
  const { DistributedLockModule, LockService } =
    await importBuilt<typeof import('nestjs-distributed-lock')>('index.js');
  const { redis } = await importBuilt<typeof import('nestjs-distributed-lock/redis')>('backends/redis/index.js');
  const app = await NestFactory.createApplicationContext(
    { module: Application, imports: [DistributedLockModule.forRoot({ backend: redis({ client: client as Redis }) })] },
    { logger: false },
  );
  const locks = app.get(LockService);
  const options = { ttl: LEASE_MS, wait: '5m', fair } as const;
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

async function onIoredis(client: Redis, options?: { readonly fair: boolean }): Promise<Locker> {
  await client.ping();
  return open(client, () => client.disconnect(), options);
}

const plain: Contender = {
  name: 'ours',
  about: 'this package on ioredis',
  kind: 'ours',
  waits: 'handed',
  renews: true,
  sends: { evalsha: 1, eval: 1, subscribe: 1, ssubscribe: 1 },
  open: (port) => onIoredis(new Redis(port)),
};

export const ours: readonly Contender[] = [
  plain,
  {
    ...plain,
    name: 'ours, auto-pipelined',
    about: 'the same on a client with `enableAutoPipelining`',
    only: 'uncontended',
    open: (port) => onIoredis(new Redis(port, { enableAutoPipelining: true })),
  },
  {
    ...plain,
    name: 'ours, not fair',
    about: 'the same with `fair: false`, so that a process may serve its own out of turn',
    only: 'contention',
    open: (port) => onIoredis(new Redis(port), { fair: false }),
  },
  {
    ...plain,
    name: 'ours on node-redis',
    about: 'this package on @redis/client',
    async open(port) {
      const { createClient } = await import('@redis/client');
      const client = await createClient({ socket: { port } }).connect();
      return open(client, () => client.destroy());
    },
  },
];
