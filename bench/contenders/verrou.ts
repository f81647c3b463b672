import { Redis } from 'ioredis';
import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS, type Locker, TUNED_POLL_MS } from './contender.js';

interface Lock {
  acquire(options?: { retry: { delay: number; timeout: number } }): Promise<boolean>;
  release(): Promise<void>;
}
type Verrou = new (config: object) => { createLock(name: string, ttl: number): Lock };

async function open(port: number, options?: Parameters<Lock['acquire']>[0]): Promise<Locker> {
  const { Verrou } = await importPeer<{ Verrou: Verrou }>('@verrou/core');
  const { redisStore } = await importPeer<{ redisStore: (options: object) => object }>('@verrou/core/drivers/redis');
  const client = new Redis(port);
  await client.ping();
  const verrou = new Verrou({ default: 'redis', stores: { redis: { driver: redisStore({ connection: client }) } } });
  return {
    async acquire(key) {
      const lock = verrou.createLock(key, LEASE_MS);
      if (!(await lock.acquire(options))) throw new Error('busy');
      return () => lock.release();
    },
    async close() {
      client.disconnect();
    },
  };
}

const common = { kind: 'peer', waits: 'polls', sends: { set: 1, eval: 1, evalsha: 1 } } as const;

export const verrou: readonly Contender[] = [
  { ...common, name: '@verrou/core', about: 'asks every 250 ms, for 30 s', open: (port) => open(port) },
  {
    ...common,
    name: '@verrou/core, tuned',
    about: `asks every ${TUNED_POLL_MS} ms, for an hour`,
    tuned: true,
    open: (port) => open(port, { retry: { delay: TUNED_POLL_MS, timeout: 3_600_000 } }),
  },
];
