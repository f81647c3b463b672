import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockTimeoutError } from '../../lib/lock/errors.js';
import { eventually } from '../servers/eventually.js';
import { startProxy } from '../servers/proxy.js';
import { startSilentProxy } from '../servers/silent-proxy.js';
import { inLine } from './support/in-pod.js';
import { rounds, withinRounds } from './support/rounds.js';
import { sqlKinds, type SqlServer } from './support/sql-servers.js';

describe.each(sqlKinds)('When connections to $name break at the worst moment', ({ name, start }) => {
  let server: SqlServer;

  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());

  function engine(listenAt?: number): LockEngine {
    const made = new LockEngine(server.backend(listenAt));
    onTestFinished(() => made.close(0));
    return made;
  }

  it.each(['listening', 'all'] as const)(
    'the server ends connections (%s) at each release, and everybody gets a turn, none later than 2 s',
    async (which) => {
      const key = `ended ${which}`;
      const engines = [engine(), engine(), engine()];
      const releases = 10 * rounds;
      const tokens: bigint[] = [];
      const between: number[] = [];
      let done = 0;
      let leftAt: number | undefined;
      let inside = 0;
      const worker = async (engine: LockEngine) => {
        while (done < releases) {
          const lock = await engine.acquire(key, { wait: '60s' });
          expect(++inside).toBe(1);
          if (leftAt !== undefined) between.push(performance.now() - leftAt);
          tokens.push(lock.fencingToken ?? 0n);
          // A cut that hits nobody proves nothing.
          if (++done < releases - 2)
            await eventually('the others can be told', async () => (await server.reachable()) === engines.length - 1);
          inside--;
          leftAt = performance.now();
          const order = [() => lock.release().catch(() => undefined), () => server.end(which).catch(() => undefined)];
          if (done % 2) order.reverse();
          await Promise.all(order.map((step) => step()));
        }
      };
      await Promise.all(engines.map(worker));
      const worst = Math.max(...between);
      console.log(
        `${name}: ${done} releases, connections (${which}) ended at each: next after ${worst.toFixed(0)} ms at worst`,
      );
      expect(worst).toBeLessThan(2_000);
      expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)));
      expect(new Set(tokens).size).toBe(tokens.length);
      await eventually('nobody is left', async () => (await engines[0]!.inspect(key)).waiting === 0);
    },
    withinRounds(30),
  );

  it('a connection to listen on that went silent costs one look, never the whole wait', async () => {
    const proxy = await startSilentProxy(server.port);
    onTestFinished(() => proxy.stop());
    const [holder, deaf] = [engine(), engine(proxy.port)];
    const lock = await holder.acquire('silent');
    const turn = deaf.acquire('silent', { wait: '30s' });
    await inLine(holder, 'silent', 1);
    await eventually('it can be reached', async () => (await server.reachable()) === 1);
    // Neither end is told, so the server takes it for alive, and the grant is lost.
    expect(proxy.silence('all')).toBeGreaterThan(0);
    const releasedAt = performance.now();
    await lock.release();
    const next = await turn;
    const after = performance.now() - releasedAt;
    console.log(`${name}: a lost grant was found after ${after.toFixed(0)} ms`);
    // The head of the line looks every five seconds; its own lease would be fifteen.
    expect(after).toBeLessThan(8_000);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken ?? 0n);
    expect(await next.release()).toBe(true);
  });

  it('a connection to listen on that is slow to open delays nobody who waits, and takes over once it stands', async () => {
    const proxy = await startProxy(`tcp://127.0.0.1:${server.port}`);
    onTestFinished(() => proxy.stop());
    proxy.keepWaiting();
    const [holder, slow] = [engine(), engine(Number(proxy.host.split(':')[1]))];
    const lock = await holder.acquire('slow');
    await expect(slow.acquire('slow', { wait: 300 })).rejects.toThrow(LockTimeoutError);
    const early = slow.acquire('slow', { wait: '3s' });
    await lock.release();
    // It asks by itself, long before the connection is given up after five seconds.
    const first = await early;
    const turns = [holder, slow].map((each) => each.acquire('slow', { wait: '30s' }).then((turn) => turn.release()));
    proxy.letIn();
    await eventually('both can be reached', async () => (await server.reachable()) === 2);
    await first.release();
    expect(await Promise.all(turns)).toEqual([true, true]);
  });
});
