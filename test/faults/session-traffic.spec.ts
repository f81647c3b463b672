import { createServer, connect, type AddressInfo, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LockEngine } from '../../lib/engine/engine.js';
import { fourLetters } from '../servers/zookeeper.js';
import { haveTurns, inLine } from './support/in-pod.js';
import { startPods } from './support/pod.js';
import { rounds } from './support/rounds.js';
import { type SessionServer, type SessionServers, sessionKinds } from './support/session-servers.js';

const processes = 4;
/** The full run has as many as the pages name. */
const waiters = rounds > 1 ? 500 : 160;
const many = rounds > 1 ? 2_000 : 600;

/** Counts what goes to a server that does not count it by itself. */
interface Counted {
  /** `host:port` for clients. */
  readonly host: string;
  /** Requests so far. */
  requests(): Promise<number>;
  /** Watchers that were told of a change so far. */
  wakeUps(): Promise<number>;
  stop(): void;
}

async function zooKeeperCounts({ host }: SessionServer): Promise<Counted> {
  const metric = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name}\\s+([\\d.]+)`, 'm').exec(await fourLetters(host, 'mntr'))?.[1] ?? Number.NaN);
  return {
    host,
    requests: () => metric('zk_packets_received'),
    wakeUps: () => metric('zk_sum_node_deleted_watch_count'),
    stop: () => undefined,
  };
}

/** Each request has a line of its own, and an answer to a blocking query that comes before its time is a change. */
async function consulCounts({ host }: SessionServer): Promise<Counted> {
  const [name = '', port] = host.split(':');
  const counts = { requests: 0, queries: 0 };
  const server: Server = createServer((client) => {
    const upstream = connect(Number(port), name);
    client.on('data', (chunk) => {
      for (const [line] of chunk.toString('latin1').matchAll(/^(?:GET|PUT) \S+ HTTP\/1\.1\r$/gm)) {
        if (/[?&]index=/.test(line)) counts.queries++;
        else counts.requests++;
      }
    });
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => undefined);
    client.pipe(upstream).pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: async () => counts.requests,
    wakeUps: async () => counts.queries,
    stop: () => void server.close(),
  };
}

const counters = { ZooKeeper: zooKeeperCounts, Consul: consulCounts } as const;
const kinds = sessionKinds.flatMap((kind) =>
  kind.name === 'ZooKeeper' || kind.name === 'Consul' ? [{ ...kind, count: counters[kind.name] }] : [],
);

describe.each(kinds)('At the server of $name', (kind) => {
  let servers: SessionServers;
  let server: SessionServer;
  let counted: Counted;
  const engines: LockEngine[] = [];
  const engine = (): LockEngine => {
    const made = new LockEngine(kind.backend([counted.host]));
    engines.push(made);
    return made;
  };

  beforeAll(async () => {
    servers = await kind.start();
    [server] = servers.members as [SessionServer];
    counted = await kind.count(server);
  });
  afterEach(() => Promise.all(engines.splice(0).map((each) => each.close(0))));
  afterAll(async () => {
    counted?.stop();
    await servers?.[Symbol.asyncDispose]();
  });

  it(
    `${waiters} waiters in ${processes} processes: each release wakes one of them, and each process has one session`,
    { timeout: 120_000 },
    async () => {
      const here = engine();
      await using pods = await startPods(processes, kind.pod([counted.host]));
      const lock = await here.acquire('crowded', { ttl: '60s' });
      const all = haveTurns(pods, 'crowded', waiters / processes);
      await inLine(here, 'crowded', waiters);
      expect(await kind.sessions(server.host)).toBe(processes + 1);
      const [woken, asked] = [await counted.wakeUps(), await counted.requests()];
      const startedAt = performance.now();
      await lock.release();
      expect(await all).toEqual(Array.from({ length: processes }, () => waiters / processes));
      const seconds = (performance.now() - startedAt) / 1_000;
      const wakeUps = (await counted.wakeUps()) - woken;
      const requests = (await counted.requests()) - asked;
      console.log(
        `${kind.name}: ${waiters} turns in ${seconds.toFixed(1)} s, ${wakeUps} wake-ups, ${(requests / waiters).toFixed(2)} requests a turn`,
      );
      // A process whose foremost waiter was served begins anew with the next one.
      expect(wakeUps).toBeGreaterThan(0);
      expect(wakeUps).toBeLessThanOrEqual(waiters + 10 * processes);
    },
  );

  it(
    `${many} locks at once from one process take no more requests than one after another, and it keeps what it holds`,
    { timeout: 120_000 },
    async () => {
      const here = engine();
      const standing = await here.acquire('standing', { ttl: '2s' });
      await (await here.acquire('warm-up')).release();
      const requestsOf = async (work: () => Promise<unknown>): Promise<number> => {
        const before = await counted.requests();
        await work();
        return (await counted.requests()) - before;
      };
      const serial = await requestsOf(async () => {
        for (let number = 0; number < many; number++) await (await here.acquire(`serial-${number}`)).release();
      });
      const together = await requestsOf(async () => {
        const locks = await Promise.all(Array.from({ length: many }, (_, number) => here.acquire(`many-${number}`)));
        expect(standing.held).toBe(true);
        expect((await Promise.all(locks.map((lock) => lock.release()))).every(Boolean)).toBe(true);
      });
      console.log(`${kind.name}: ${many} locks took ${together} requests at once, and ${serial} one after another`);
      expect(together).toBeLessThanOrEqual(serial * 1.1);
      expect(await standing.release()).toBe(true);
    },
  );
});
