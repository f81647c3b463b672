import { setTimeout as sleep } from 'node:timers/promises';
import type { Locker } from '../contenders/contender.js';
import { contender } from '../contenders/index.js';
import { cpuMeter, now, stallMeter } from '../trial/clock.js';
import { sentCommands } from '../trial/server-meter.js';
import type { Metrics, Scenario } from './scenario.js';

/** How long they gather before the lock is let go. */
const GATHER_MS = 1000;

/**
 * Smaller crowds before, for the compiler: until it is through most of the time is its own, and it shares a core with the rest. So many
 * hand-overs, or so long.
 */
const WARM_HAND_OVERS = 5_000;
const WARM_WAITERS = 200;
const WARM_MS = 5_000;

/** Lets so many wait for a key that one of them has; `let` releases it and looks on for that long. */
function gather(locker: Locker, key: string, waiters: number): { let(milliseconds: number): Promise<Metrics> } {
  const order: number[] = [];
  let failed = 0;
  let last = 0;
  const wait = async (number: number): Promise<void> => {
    try {
      const release = await locker.acquire(key);
      order.push(number);
      last = now();
      await release();
    } catch {
      failed++;
    }
  };
  const first = locker.acquire(key);
  const all = first.then(() => Promise.all(Array.from({ length: waiters - 1 }, (_, number) => wait(number))));
  return {
    async let(milliseconds) {
      const release = await first;
      const start = now();
      await release();
      await Promise.race([all, sleep(milliseconds)]);
      return {
        // Until the last grant: one that gives up later takes no part.
        drainMs: order.length === 0 ? Number.NaN : last - start,
        served: order.length,
        failed,
        stuck: waiters - 1 - order.length - failed,
        outOfOrder: order.filter((number, at) => at > 0 && number < order[at - 1]!).length,
      };
    },
  };
}

/** A thousand calls wait for one key in one process; each lets go at once when it is its turn. */
export const crowd: Scenario = {
  name: 'crowd',
  title: 'A crowd: 1,000 waiters for one key in one process',
  floor: 'BLPOP',
  rounds: { ours: 3, others: 1 },
  pinned: true,
  inTurns: false,
  cases: (effort) => [
    {
      title: '1,000 waiters',
      processes: 1,
      waiters: 1000,
      keys: 1 + WARM_HAND_OVERS / WARM_WAITERS,
      milliseconds: effort === 'quick' ? 6000 : 12_000,
    },
  ],

  async work({ task, locker, send, receive }) {
    const { keys, case: each } = task;
    const [key = '', ...warmUps] = keys;
    // A service that is a crowd's goal is not just starting.
    const warm = now() + WARM_MS;
    for (const warmUp of warmUps) if (now() < warm) await gather(locker, warmUp, WARM_WAITERS).let(warm - now());
    const crowded = gather(locker, key, each.waiters);
    await sleep(GATHER_MS);
    send('ready');
    await receive('go');
    const cpu = cpuMeter();
    const stall = stallMeter();
    return { ...(await crowded.let(each.milliseconds)), clientCpuMs: cpu(), stallMs: stall() };
  },

  async conduct({ workers: [worker], contender: name, measure }) {
    const measured = await measure();
    worker!.send('go');
    const metrics = await worker!.receive<Metrics>('done');
    const server = await measured();
    const served = metrics['served'] ?? 0;
    return {
      metrics: {
        ...metrics,
        serverCpuMs: server.cpuMs,
        commands: sentCommands(server, contender(name).sends) / served,
      },
    };
  },

  columns: [
    { metric: 'drainMs', title: 'drained in ms', ratio: true },
    { metric: 'served', title: 'served' },
    { metric: 'failed', title: 'gave up' },
    { metric: 'stuck', title: 'still waiting' },
    { metric: 'outOfOrder', title: 'out of order' },
    { metric: 'commands', title: 'commands each, from then', digits: 1 },
    { metric: 'clientCpuMs', title: 'client CPU ms', ratio: true },
    { metric: 'serverCpuMs', title: 'server CPU ms', ratio: true },
    { metric: 'stallMs', title: 'loop stalled ms' },
  ],
};
