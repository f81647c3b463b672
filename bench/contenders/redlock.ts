import { Redis } from 'ioredis';
import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS, type Locker, TUNED_POLL_MS } from './contender.js';

interface Settings {
  readonly retryCount: number;
  readonly retryDelay: number;
  readonly retryJitter: number;
}

/** redlock 4 and 5, and the fork of 5: one client each, as for one Redis. */
interface Redlock {
  on(event: 'error' | 'clientError', listener: () => void): void;
  acquire(resources: string[], ttl: number): Promise<{ release(): Promise<unknown> }>;
  lock(resource: string, ttl: number): Promise<{ unlock(): Promise<unknown> }>;
  using(resources: string[], ttl: number, work: () => Promise<void>): Promise<void>;
}
type RedlockClass = new (clients: Redis[], settings?: Settings) => Redlock;

const tuned: Settings = { retryCount: -1, retryDelay: TUNED_POLL_MS, retryJitter: TUNED_POLL_MS / 2 };

const releases: readonly { name: string; module: string; pick: (module: any) => RedlockClass }[] = [
  { name: 'redlock 4', module: 'redlock4', pick: (module) => module.default },
  { name: 'redlock 5 beta', module: 'redlock5', pick: (module) => module.default.default ?? module.default },
  { name: '@sesamecare-oss/redlock', module: '@sesamecare-oss/redlock', pick: (module) => module.Redlock },
];

async function open(port: number, release: (typeof releases)[number], settings?: Settings): Promise<Locker> {
  const Redlock = release.pick(await importPeer(release.module));
  const client = new Redis(port);
  await client.ping();
  const redlock = new Redlock([client], settings);
  // Every busy answer is such an event.
  redlock.on('error', () => undefined);
  redlock.on('clientError', () => undefined);
  const close = async (): Promise<void> => client.disconnect();
  if (release.name === 'redlock 4') {
    return {
      async acquire(key) {
        const lock = await redlock.lock(key, LEASE_MS);
        return () => lock.unlock();
      },
      close,
    };
  }
  return {
    async acquire(key) {
      const lock = await redlock.acquire([key], LEASE_MS);
      return () => lock.release();
    },
    hold: (key) => entered((work) => redlock.using([key], LEASE_MS, work)),
    close,
  };
}

/** A lock that the library only offers around a function, as one that is held until it is let go. */
export function entered(around: (work: () => Promise<void>) => Promise<unknown>): Promise<() => Promise<unknown>> {
  return new Promise((resolve, reject) => {
    const ended = around(
      () =>
        new Promise<void>((leave) => {
          resolve(() => {
            leave();
            return ended;
          });
        }),
    );
    ended.catch(reject);
  });
}

export const redlocks: readonly Contender[] = releases.flatMap((release) => {
  const common = {
    kind: 'peer',
    waits: 'polls',
    renews: release.name !== 'redlock 4',
    sends: { evalsha: 1, eval: 1 },
  } as const;
  return [
    { ...common, name: release.name, about: 'asks every 200 ± 100 ms, 10 times', open: (port) => open(port, release) },
    {
      ...common,
      name: `${release.name}, tuned`,
      about: `asks every ${TUNED_POLL_MS} ± 5 ms, for ever`,
      tuned: true,
      open: (port) => open(port, release, tuned),
    },
  ] satisfies Contender[];
});
