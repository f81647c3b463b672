import { Redis } from 'ioredis';
import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS, type Locker, TUNED_POLL_MS } from './contender.js';
import { entered } from './redlock.js';

interface Universal {
  readonly IoredisAdapter: new (client: Redis) => object;
  createLock(config: object): {
    acquire(): Promise<object>;
    release(handle: object): Promise<boolean>;
    using(work: () => Promise<void>): Promise<void>;
  };
}

async function open(port: number, settings: object): Promise<Locker> {
  const { IoredisAdapter, createLock } = await importPeer<Universal>('redlock-universal');
  const client = new Redis(port);
  await client.ping();
  const adapter = new IoredisAdapter(client);
  const lockOf = (key: string) => createLock({ adapter, key, ttl: LEASE_MS, ...settings });
  return {
    async acquire(key) {
      const lock = lockOf(key);
      const handle = await lock.acquire();
      return () => lock.release(handle);
    },
    hold: (key) => entered((work) => lockOf(key).using(work)),
    async close() {
      client.disconnect();
    },
  };
}

const common = { kind: 'peer', waits: 'polls', renews: true, sends: { set: 1, evalsha: 1, eval: 1, ping: 1 } } as const;

export const redlockUniversal: readonly Contender[] = [
  { ...common, name: 'redlock-universal', about: 'asks every 100 ms, 3 times', open: (port) => open(port, {}) },
  {
    ...common,
    name: 'redlock-universal, tuned',
    about: `asks every ${TUNED_POLL_MS} ms, for ever; no circuit breaker`,
    tuned: true,
    open: (port) =>
      open(port, { retryDelay: TUNED_POLL_MS, retryAttempts: 1_000_000, performance: 'lean', circuitBreaker: false }),
  },
];
