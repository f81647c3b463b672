import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS } from './contender.js';

type Redisson = new (config: object) => {
  getLock(name: string): { lock(): Promise<void>; unlock(): Promise<void> };
  quit(): Promise<void>;
};

export const nodeRedisson: readonly Contender[] = [
  {
    name: 'node-redisson',
    about: 'subscribes to the key and asks again when it is let go; nothing to tune',
    kind: 'peer',
    waits: 'woken',
    tuned: true,
    renews: true,
    // Its unlock script deletes the key, and then it deletes a latch itself.
    sends: { evalsha: 1, eval: 1, subscribe: 1, unsubscribe: 1, del: 0.5 },
    async open(port) {
      const { Redisson } = await importPeer<{ Redisson: Redisson }>('node-redisson');
      const redisson = new Redisson({
        redis: { options: { host: '127.0.0.1', port } },
        lockWatchdogTimeout: BigInt(LEASE_MS),
      });
      return {
        async acquire(key) {
          const lock = redisson.getLock(key);
          await lock.lock();
          return () => lock.unlock();
        },
        close: () => redisson.quit(),
      };
    },
  },
];
