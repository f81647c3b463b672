import { setTimeout as sleep } from 'node:timers/promises';
import { contender } from '../contenders/index.js';
import type { Release } from '../contenders/contender.js';
import { percentile } from '../report/statistics.js';
import { now } from '../trial/clock.js';
import { sentCommands, type ServerUse, together } from '../trial/server-meter.js';
import type { Case, Scenario } from './scenario.js';

/** Hand-overs before the first that counts, unless that takes too long: for the compiler. A service that waits for a lock is seldom just starting. */
const WARM = 10_000;
/** Those of a turn. */
const BURST = 5;
/** Of the warm-up also so long in one turn, in milliseconds: who holds the lock meanwhile may be one that does not renew. */
const WARM_TURN_MS = 2_000;

/** @param warm how long the warm-up may take: little where what is measured are the pauses of those that poll */
function caseOf(shortest: number, longest: number, milliseconds: number, warm: number): Case {
  const title = `held for ${shortest} to ${longest} ms`;
  return { title, processes: 2, waiters: 1, keys: 1, milliseconds, more: { shortest, longest, warm } };
}

/** One process lets go, another one waits: from the call of `release` there to the lock here. In turns. */
export const handOver: Scenario = {
  name: 'hand-over',
  title: 'Hand-over between two processes: from release in one to the lock in the other',
  floor: 'BLPOP',
  rounds: { ours: 3, others: 1 },
  pinned: true,
  inTurns: true,
  // Short holds show more hand-overs; long ones are for those that poll, and catch them anywhere in a pause.
  cases: (effort) =>
    effort === 'quick' ? [caseOf(5, 25, 2000, 15_000)] : [caseOf(5, 25, 4000, 15_000), caseOf(20, 220, 5000, 5000)],
  admits: ({ waits }, { more }) => waits !== 'polls' || more?.['longest'] !== 25,

  async work({ task, locker, send, receive }) {
    const key = task.keys[0] ?? '';
    send('ready');
    for (;;) {
      await receive('acquire');
      send('asked');
      const release = await insist(() => locker.acquire(key));
      send('acquired', now());
      await receive('release');
      const at = now();
      await release();
      send('released', at);
    }
  },

  async conduct({ workers, case: each, contender: name, measure, ourTurn }) {
    const { shortest = 0, longest = 0, warm = 0 } = each.more ?? {};
    const latencies: number[] = [];
    const uses: ServerUse[] = [];
    let [holder, waiter] = [workers[0]!, workers[1]!];
    const handOver = async (hold: number): Promise<number> => {
      waiter.send('acquire');
      await waiter.receive('asked');
      await sleep(hold);
      holder.send('release');
      const [released, acquired] = await Promise.all([
        holder.receive<number>('released'),
        waiter.receive<number>('acquired'),
      ]);
      [holder, waiter] = [waiter, holder];
      return (acquired - released) * 1000;
    };
    holder.send('acquire');
    await Promise.all([holder.receive('asked'), holder.receive('acquired')]);
    for (let left = warm, count = 0; left > 0 && count < WARM;) {
      await ourTurn();
      const start = now();
      for (; count < WARM && now() - start < WARM_TURN_MS; count++) await handOver(0);
      left -= now() - start;
    }
    for (let left = each.milliseconds; left > 0;) {
      await ourTurn();
      const measured = await measure();
      const start = now();
      for (let i = 0; i < BURST; i++) latencies.push(await handOver(shortest + Math.random() * (longest - shortest)));
      left -= now() - start;
      uses.push(await measured());
    }
    return {
      samples: latencies,
      metrics: {
        p50us: percentile(latencies, 0.5),
        p90us: percentile(latencies, 0.9),
        p99us: percentile(latencies, 0.99),
        maxUs: Math.max(...latencies),
        count: latencies.length,
        commands: sentCommands(together(uses), contender(name).sends) / latencies.length,
      },
    };
  },

  columns: [
    { metric: 'p50us', title: 'p50 µs', ratio: true },
    { metric: 'p90us', title: 'p90 µs', ratio: true },
    { metric: 'p99us', title: 'p99 µs', ratio: true },
    { metric: 'maxUs', title: 'longest µs' },
    { metric: 'count', title: 'hand-overs' },
    { metric: 'commands', title: 'commands', digits: 1 },
  ],
};

/** Who gives up asks again. */
async function insist(acquire: () => Promise<Release>): Promise<Release> {
  for (;;) {
    try {
      return await acquire();
    } catch {
      await sleep(0);
    }
  }
}
