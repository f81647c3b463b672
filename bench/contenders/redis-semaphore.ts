import { Redis } from 'ioredis';
import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS, type Locker } from './contender.js';

type Mutex = new (
  client: Redis,
  key: string,
  options: { lockTimeout: number; acquireTimeout?: number },
) => { acquire(): Promise<void>; release(): Promise<void> };

async function open(port: number, options: { acquireTimeout?: number }): Promise<Locker> {
  const { Mutex } = await importPeer<{ Mutex: Mutex }>('redis-semaphore');
  const client = new Redis(port);
  await client.ping();
  return {
    async acquire(key) {
      const mutex = new Mutex(client, key, { lockTimeout: LEASE_MS, ...options });
      await mutex.acquire();
      return () => mutex.release();
    },
    async close() {
      client.disconnect();
    },
  };
}

const common = { kind: 'peer', waits: 'polls', renews: true, sends: { set: 1, evalsha: 1, eval: 1 } } as const;

export const redisSemaphore: readonly Contender[] = [
  {
    ...common,
    name: 'redis-semaphore',
    about: 'asks every 10 ms, for 10 s; its default is what others are tuned to',
    tuned: true,
    open: (port) => open(port, {}),
  },
];
