import { setTimeout as sleep } from 'node:timers/promises';
import { LEASE_MS } from '../contenders/contender.js';
import { contender } from '../contenders/index.js';
import { cpuMeter, now, stallMeter } from '../trial/clock.js';
import { scriptsRun, sentCommands } from '../trial/server-meter.js';
import type { Metrics, Scenario } from './scenario.js';

/** How many are acquired at the same time. */
const AT_ONCE = 500;
/** Leases that pass before it is measured: what is held for long is renewed by code that the compiler is through with. */
const WARM_LEASES = 3;

/** Locks that are held, and kept alive by the library: what standing still costs. */
export const held: Scenario = {
  name: 'held',
  title: 'Held locks: kept alive by the library, lease 10 s',
  rounds: { ours: 1, others: 1 },
  pinned: true,
  inTurns: false,
  cases: (effort) =>
    (effort === 'long' ? [10_000, 100_000] : [10_000]).map((keys) => ({
      title: `${keys.toLocaleString('en')} locks`,
      processes: 1,
      waiters: AT_ONCE,
      keys,
      milliseconds: effort === 'quick' ? 10_000 : effort === 'full' ? 12_000 : 30_000,
    })),
  admits: ({ kind, renews }) => kind !== 'floor' && renews === true,

  async work({ task, locker, send, receive }) {
    const { keys, case: each } = task;
    const hold = locker.hold ?? locker.acquire;
    const before = memory();
    const started = now();
    const left = keys.values();
    const holder = async (): Promise<void> => {
      for (const key of left) await hold(key);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, holder));
    const acquiredIn = now() - started;
    const after = memory();
    await sleep(WARM_LEASES * LEASE_MS);
    send('ready');
    await receive('go');
    const cpu = cpuMeter();
    await sleep(each.milliseconds);
    const clientCpuPercent = (cpu() / each.milliseconds) * 100;
    // After that, because to watch the loop costs as much as a thousand locks.
    const stall = stallMeter();
    await sleep(each.milliseconds / 4);
    return {
      acquiredInMs: acquiredIn,
      clientCpuPercent,
      stallMs: stall(),
      heapBytes: (after.heapUsed - before.heapUsed) / each.keys,
      rssBytes: (after.rss - before.rss) / each.keys,
    };
  },

  async conduct({ workers: [worker], case: each, contender: name, measure }) {
    const measured = await measure();
    worker!.send('go');
    const metrics = await worker!.receive<Metrics>('done');
    const server = await measured();
    return {
      metrics: {
        ...metrics,
        commandsPerSecond: sentCommands(server, contender(name).sends) / server.seconds,
        scriptsPerSecond: scriptsRun(server) / server.seconds,
        serverCpuPercent: server.cpuMs / server.seconds / 10,
        stillHeld: Math.min(server.keys, each.keys),
      },
    };
  },

  columns: [
    { metric: 'commandsPerSecond', title: 'commands/s', digits: 1 },
    { metric: 'clientCpuPercent', title: 'client CPU %', digits: 2 },
    { metric: 'serverCpuPercent', title: 'server CPU %', digits: 2 },
    { metric: 'heapBytes', title: 'heap B/lock' },
    { metric: 'rssBytes', title: 'RSS B/lock' },
    { metric: 'stallMs', title: 'loop stalled ms' },
    { metric: 'acquiredInMs', title: 'acquired in ms' },
    { metric: 'stillHeld', title: 'still held' },
  ],
};

function memory(): NodeJS.MemoryUsage {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage();
}
