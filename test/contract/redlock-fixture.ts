import type { LockBackend } from '../../lib/index.js';
import type { BackendFixture } from '../../lib/testing/index.js';
import { startRedis } from '../servers/redis.js';
import { faultsOf, type Inspected, inspected } from './redis-fixture.js';

/** So many Redis masters of their own that know nothing of each other. */
export function mastersFixture(
  count: number,
  create: (urls: readonly string[]) => LockBackend | Promise<LockBackend>,
  ttl = 1_000,
): BackendFixture {
  let masters: readonly Inspected[] = [];
  return {
    async start() {
      masters = (await Promise.all(Array.from({ length: count }, () => startRedis({ own: true })))).map(inspected);
    },
    async stop() {
      for (const { admin } of masters) admin.disconnect();
      await Promise.all(masters.map(({ server }) => server.stop()));
    },
    create: () => create(masters.map(({ server }) => server.url)),
    ttl,
    faults: {
      ...faultsOf(() => masters),
      restart: async (options) => {
        await Promise.all(masters.map(({ server }) => server.restart(options)));
      },
    },
  };
}
