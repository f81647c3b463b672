import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { type Pods, startPods } from './support/pod.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

const waiters = 1_000;

describe.each(sqlKinds)(
  'A thousand waiters of four processes on one key of $name',
  ({ name, start, statementsEach }) => {
    let server: SqlServer;
    let engine: LockEngine;

    beforeAll(async () => {
      server = await start();
      engine = new LockEngine(server.backend());
      await engine.ping();
    });
    afterAll(async () => {
      await engine?.close(0);
      await server?.stop();
    });

    /** Processes that have waited once, and so listen. */
    async function startListening(): Promise<Pods> {
      const pods = await startPods(4, server.pod);
      const first = await engine.tryAcquire('first');
      const turns = pods.map((pod) => pod.run(({ engine }) => engine.withLock('first', () => undefined)));
      await eventually('all listen', async () => (await server.reachable()) === pods.length);
      await first?.release();
      await Promise.all(turns);
      return pods;
    }

    it('listen on one connection a process, and are served in the order of their arrival', async () => {
      const others = (await server.listening()).length;
      await using pods = await startListening();
      // One that does not wait needs nothing to listen on.
      const lock = await engine.tryAcquire('crowd', { ttl: '2m' });
      const turns = pods.map((pod) =>
        pod.run(async ({ engine }, count) => {
          const turn = async () => {
            const lock = await engine.acquire('crowd', { wait: '2m', ttl: '1m', fair: true });
            const { owner, fencingToken: token = 0n } = lock;
            await lock.release();
            return { owner, token };
          };
          return Promise.all(Array.from({ length: count }, turn));
        }, waiters / pods.length),
      );
      await eventually('all stand in line', async () => (await server.reachable()) === waiters, {
        every: 100,
        within: 40_000,
      });
      const order = await server.line('crowd');
      expect(await server.listening()).toHaveLength(pods.length + others);
      const startedAt = performance.now();
      await lock?.release();
      const served = (await Promise.all(turns)).flat().sort((a, b) => (a.token < b.token ? -1 : 1));
      const seconds = (performance.now() - startedAt) / 1_000;
      expect(served.map(({ owner }) => owner)).toEqual(order);
      console.log(`${name}: ${waiters} waiters served in ${seconds.toFixed(1)} s`);
    }, 120_000);

    it('cost few statements for each acquisition', async () => {
      await using pods = await startListening();
      const before = await server.statements();
      const perWorker = 16;
      await Promise.all(
        pods.map((pod) =>
          pod.run(async ({ engine }, perWorker) => {
            const worker = async () => {
              for (let i = 0; i < perWorker; i++) await engine.withLock('busy', () => undefined, { wait: '60s' });
            };
            await Promise.all(Array.from({ length: 16 }, worker));
            // Only then does the server count what its connections were asked.
            await engine.close();
          }, perWorker),
        ),
      );
      const acquisitions = pods.length * 16 * perWorker;
      const each = ((await server.statements()) - before) / acquisitions;
      console.log(`${name}: ${acquisitions} contended acquisitions, ${each.toFixed(2)} statements each`);
      expect(each).toBeGreaterThan(0);
      expect(each).toBeLessThanOrEqual(statementsEach);
    }, 60_000);
  },
);
