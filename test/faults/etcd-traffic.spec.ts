import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { haveTurns, inLine } from './support/in-pod.js';
import { startPods } from './support/pod.js';

const processes = 4;
const waiters = 500;

describe(`At the server, ${waiters} waiters in ${processes} processes on one key of one etcd`, () => {
  let server: EtcdServer;
  let admin: Etcd3;
  let engine: LockEngine;

  beforeAll(async () => {
    server = await startEtcd({ own: true });
    admin = new Etcd3({ hosts: server.host });
    engine = new LockEngine(etcd({ hosts: server.host }));
  });
  afterAll(async () => {
    await engine?.close(0);
    admin?.close();
    await server?.stop();
  });

  /** A counter of the server's own. */
  async function counted(metric: string): Promise<number> {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${metric} `) || each.startsWith(`${metric}{`));
    return Number(line?.split(' ').at(-1) ?? Number.NaN);
  }

  const leases = async (): Promise<number> => (await admin.leaseClient.leaseLeases()).leases.length;

  it('each release wakes one of them, and each process has one lease', { timeout: 120_000 }, async () => {
    await using pods = await startPods(processes, { etcd: [server.host] });
    const lock = await engine.acquire('crowded', { ttl: '60s' });
    const all = haveTurns(pods, 'crowded', waiters / processes);
    await inLine(engine, 'crowded', waiters);
    expect(await leases()).toBe(processes + 1);
    // One watches the key ahead of it, and nobody anything else.
    const watchers = () => counted('etcd_debugging_mvcc_watcher_total');
    await eventually('everybody watches', async () => (await watchers()) >= waiters);
    expect(await watchers()).toBe(waiters);

    const before = await counted('etcd_debugging_mvcc_events_total');
    const startedAt = performance.now();
    await lock.release();
    expect(await all).toEqual(Array.from({ length: processes }, () => waiters / processes));
    const seconds = (performance.now() - startedAt) / 1_000;
    const wakeUps = (await counted('etcd_debugging_mvcc_events_total')) - before;
    console.log(`${waiters} hand-overs in ${seconds.toFixed(1)} s, ${wakeUps} wake-ups, ${await leases()} leases`);
    // Ours, and that of each waiter but the last, whom nobody waited for.
    expect(wakeUps).toBe(waiters);
    expect(await leases()).toBe(processes + 1);
    await eventually('nobody watches', async () => (await watchers()) === 0);
  });
});
