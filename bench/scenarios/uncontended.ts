import { contender } from '../contenders/index.js';
import { percentile } from '../report/statistics.js';
import { cpuMeter, now } from '../trial/clock.js';
import { executedCommands, sentCommands, type ServerUse, together } from '../trial/server-meter.js';
import type { Scenario } from './scenario.js';

/** Before it is measured: so many pairs for the compiler, or so long. */
const WARM_PAIRS = 40_000;
const WARM_MS = 4_000;
const BURST_MS = 60;

/** One burst in the worker. */
interface Burst {
  readonly pairs: Float64Array;
  readonly acquisitions: Float64Array;
  readonly elapsedMs: number;
  readonly cpuMs: number;
}

/** Nobody waits: what a lock costs when it is free, which is nearly always. */
export const uncontended: Scenario = {
  name: 'uncontended',
  title: 'Uncontended: acquire and release, over and over',
  floor: 'raw',
  rounds: { ours: 3, others: 1 },
  pinned: true,
  inTurns: true,
  cases: (effort) =>
    [1, 64].map((keys) => ({
      title: keys === 1 ? 'one key, one at a time' : `${keys} keys at once`,
      processes: 1,
      waiters: keys,
      keys,
      milliseconds: effort === 'quick' ? 600 : 900,
    })),

  async work({ task, locker, send, receive }) {
    const run = async (milliseconds: number): Promise<Burst> => {
      const pairs: number[] = [];
      const acquisitions: number[] = [];
      const cpu = cpuMeter();
      const start = now();
      const end = start + milliseconds;
      const loop = async (key: string): Promise<void> => {
        for (let asked = now(); asked < end;) {
          const release = await locker.acquire(key);
          acquisitions.push(now() - asked);
          await release();
          const released = now();
          pairs.push(released - asked);
          asked = released;
        }
      };
      await Promise.all(task.keys.map(loop));
      const elapsedMs = now() - start;
      return {
        pairs: Float64Array.from(pairs),
        acquisitions: Float64Array.from(acquisitions),
        elapsedMs,
        cpuMs: cpu(),
      };
    };
    const warm = now() + WARM_MS;
    for (let pairs = 0; pairs < WARM_PAIRS && now() < warm;) pairs += (await run(BURST_MS)).pairs.length;
    send('ready');
    for (;;) {
      await receive('burst');
      send('burst', await run(BURST_MS));
    }
  },

  async conduct({ workers: [worker], case: each, contender: name, measure, ourTurn }) {
    const bursts: Burst[] = [];
    const uses: ServerUse[] = [];
    for (let spent = 0; spent < each.milliseconds; spent += BURST_MS) {
      await ourTurn();
      const measured = await measure();
      worker!.send('burst');
      bursts.push(await worker!.receive<Burst>('burst'));
      uses.push(await measured());
    }
    const pairs = bursts.flatMap((burst) => [...burst.pairs]);
    const sum = (value: (burst: Burst) => number): number => bursts.reduce((total, burst) => total + value(burst), 0);
    const server = together(uses);
    const metrics = {
      p50us: percentile(pairs, 0.5) * 1000,
      p99us: percentile(pairs, 0.99) * 1000,
      acquire50us:
        percentile(
          bursts.flatMap((burst) => [...burst.acquisitions]),
          0.5,
        ) * 1000,
      perSecond: (pairs.length / sum(({ elapsedMs }) => elapsedMs)) * 1000,
      clientCpuUs: (sum(({ cpuMs }) => cpuMs) / pairs.length) * 1000,
      serverCpuUs: (server.cpuMs / pairs.length) * 1000,
      commands: sentCommands(server, contender(name).sends) / pairs.length,
      executed: executedCommands(server) / pairs.length,
    };
    return { metrics };
  },

  columns: [
    { metric: 'p50us', title: 'p50 µs', ratio: true },
    { metric: 'p99us', title: 'p99 µs', ratio: true },
    { metric: 'perSecond', title: 'pairs/s', ratio: true },
    { metric: 'clientCpuUs', title: 'client CPU µs', ratio: true, digits: 1 },
    { metric: 'serverCpuUs', title: 'server CPU µs', ratio: true, digits: 1 },
    { metric: 'commands', title: 'commands', digits: 1 },
    { metric: 'executed', title: 'executed', digits: 1 },
  ],
};
