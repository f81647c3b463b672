import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { eventually } from '../servers/eventually.js';
import { startPods } from './support/pod.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

const waiters = 1_000;

describe.each(sqlKinds)('A thousand waiters of four processes on one key of $name', ({ name, start }) => {
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

  it('listen on one connection a process, and are served in the order of their arrival, for few statements', async () => {
    await using pods = await startPods(4, server.pod);
    // One that does not wait needs nothing to listen on.
    const lock = await engine.tryAcquire('crowd', { ttl: '2m' });
    const before = await server.statements();
    const ours = await server.listening();
    const turns = pods.map((pod) =>
      pod.run(async ({ engine }, count) => {
        const turn = async () => {
          const lock = await engine.acquire('crowd', { wait: '2m', ttl: '1m', fair: true });
          const { owner, fencingToken: token = 0n } = lock;
          await lock.release();
          return { owner, token };
        };
        const served = await Promise.all(Array.from({ length: count }, turn));
        // Only then does the server count what its connections were asked.
        await engine.close();
        return served;
      }, waiters / pods.length),
    );
    await eventually('all stand in line', async () => (await server.reachable()) === waiters, { every: 100 });
    const order = await server.line('crowd');
    expect((await server.listening()).filter((id) => !ours.includes(id))).toHaveLength(pods.length);
    const startedAt = performance.now();
    await lock?.release();
    const served = (await Promise.all(turns)).flat().sort((a, b) => (a.token < b.token ? -1 : 1));
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(served.map(({ owner }) => owner)).toEqual(order);
    if (name==='PostgreSQL') console.log(await server.ask('select funcname, calls from pg_stat_user_functions'));
 const each = ((await server.statements()) - before) / waiters;
    console.log(`${name}: ${waiters} waiters served in ${seconds.toFixed(1)} s, ${each.toFixed(2)} statements each`);
    expect(each).toBeLessThanOrEqual(2.2);
  }, 120_000);
});
