import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { describe, expect, it } from 'vitest';
import { etcd } from '../../lib/backends/etcd/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockBackendError } from '../../lib/lock/errors.js';
import { type EtcdServer, startEtcd } from '../servers/etcd.js';
import { eventually } from '../servers/eventually.js';
import { startSilentProxy } from '../servers/silent-proxy.js';
import { inLine } from './support/in-pod.js';

/** How many watch streams the server has been asked for since it was started. */
async function watchStreams(server: EtcdServer): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text
    .split('\n')
    .find((each) => each.startsWith('grpc_server_started_total{') && each.includes('grpc_method="Watch"'));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

/** How long the waiter waits for its turn once the lock is let go. */
async function handOver(lock: { release(): Promise<boolean> }, waiting: Promise<{ held: boolean }>): Promise<number> {
  const startedAt = performance.now();
  expect(await lock.release()).toBe(true);
  expect((await waiting).held).toBe(true);
  return performance.now() - startedAt;
}

describe('What etcd3 does with a connection that had trouble, and our locks do not', () => {
  it('one call that is not answered in time: the others, and the watch of those who wait, go on', async () => {
    await using server = await startEtcd({ own: true });
    const [engine, other] = [
      new LockEngine(etcd({ hosts: server.host })),
      new LockEngine(etcd({ hosts: server.host, memberTimeout: '800ms' })),
    ];
    const lock = await engine.acquire('watched');
    const waiting = other.acquire('watched', { wait: '30s' });
    await inLine(engine, 'watched', 1);
    // It stands in line before it watches.
    await eventually('it watches', async () => (await watchStreams(server)) === 1);
    server.pause();
    const slow = other.tryAcquire('slow').catch((error: unknown) => error);
    await sleep(600);
    const later = other.tryAcquire('later');
    // The first has run out, the second has not.
    await sleep(400);
    server.resume();
    expect(await slow).toBeInstanceOf(LockBackendError);
    expect(await (await later)?.release()).toBe(true);
    expect(await handOver(lock, waiting)).toBeLessThan(1_000);
    expect(await watchStreams(server)).toBe(1);
    await Promise.all([engine.close(0), other.close(0)]);
  });

  it('a client that pings every second: ours does not, for which the server would hang up', async () => {
    await using server = await startEtcd({ own: true });
    const client = new Etcd3({ hosts: server.host, grpcOptions: { 'grpc.keepalive_time_ms': 1_000 } });
    const engine = new LockEngine(etcd({ client }));
    const other = new LockEngine(etcd({ client }));
    const lock = await engine.acquire('pinged', { ttl: '60s' });
    const waiting = other.acquire('pinged', { ttl: '60s', wait: '60s' });
    await inLine(engine, 'pinged', 1);
    // It counts three pings that came too soon.
    await sleep(8_000);
    expect(await watchStreams(server)).toBe(1);
    expect(await handOver(lock, waiting)).toBeLessThan(1_000);
    await Promise.all([engine.close(0), other.close(0)]);
    client.close();
  });

  it('a server that was away for 6 s: calls and watches work again at once, however many failed meanwhile', async () => {
    await using server = await startEtcd({ own: true });
    const [engine, other] = [
      new LockEngine(etcd({ hosts: server.host })),
      new LockEngine(etcd({ hosts: server.host })),
    ];
    const lock = await engine.acquire('away', { ttl: '30s' });
    const waiting = other.acquire('away', { ttl: '30s', wait: '60s' });
    await inLine(engine, 'away', 1);
    await server.kill();
    for (let failed = 0; failed < 60; failed++) {
      for (const each of [engine, other]) await expect(each.tryAcquire('asked')).rejects.toThrow(LockBackendError);
      await sleep(100);
    }
    await server.restart();
    // gRPC tries to connect twice a second.
    await sleep(1_000);
    for (const each of [engine, other]) await (await each.tryAcquire('asked'))?.release();
    expect(await watchStreams(server)).toBe(1);
    expect(await handOver(lock, waiting)).toBeLessThan(500);
    await Promise.all([engine.close(0), other.close(0)]);
  });

  it('the only connection goes silent: what is held stays, and locks and hand-overs come within one lease', async () => {
    await using server = await startEtcd({ own: true });
    const proxy = await startSilentProxy(Number(new URL(server.url).port));
    const engine = new LockEngine(etcd({ hosts: `127.0.0.1:${proxy.port}` }));
    const direct = new LockEngine(etcd({ hosts: server.host }));
    const held = await engine.acquire('held', { ttl: '9s' });
    const ahead = await direct.acquire('in line', { ttl: '9s' });
    const waiting = engine.acquire('in line', { ttl: '9s', wait: '20s' });
    await inLine(direct, 'in line', 1);
    await eventually('it watches', async () => (await watchStreams(server)) === 1);
    const silentFrom = performance.now();
    expect(proxy.silence('all')).toBeGreaterThan(0);
    const next = engine.acquire('next', { ttl: '9s', wait: '20s' });
    expect(await ahead.release()).toBe(true);
    for (const lock of await Promise.all([next, waiting])) expect(await lock.release()).toBe(true);
    expect(performance.now() - silentFrom).toBeLessThan(9_000);
    expect(await held.release()).toBe(true);
    await Promise.all([engine.close(0), direct.close(0)]);
    await proxy.stop();
  });
});
