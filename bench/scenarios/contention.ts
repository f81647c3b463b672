import { setTimeout as sleep } from 'node:timers/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { contender } from '../contenders/index.js';
import { cpuMeter, now, until } from '../trial/clock.js';
import { executedCommands, scriptsRun, sentCommands } from '../trial/server-meter.js';
import { type Grants, judge } from './grants.js';
import type { Case, Scenario, Stage } from './scenario.js';

/** Before the trial, each process with a key of its own, for the compiler. */
const WARM_PAIRS = 500;
/** How long the trial waits for what was asked for before its end. */
const GRACE_MS = 300;

interface Result extends Grants {
  readonly cpuMs: number;
  readonly gaveUp: number;
}

/** Greedy waiters, evenly over the processes: each asks again as soon as it has let go. */
async function work({ task, locker, send, receive }: Stage): Promise<Result> {
  const { index, keys, case: each } = task;
  const [key = '', ...warmUps] = keys;
  const { section = 0, warm = 0 } = each.more ?? {};
  const log: number[] = [];
  const waitingSince = new Float64Array(each.waiters);
  let gaveUp = 0;

  for (let pairs = 0; pairs < WARM_PAIRS; pairs++) await (await locker.acquire(warmUps[index] ?? ''))();
  send('ready');
  const start = (await receive('go')) as number;
  const measured = start + warm;
  const end = start + each.milliseconds;

  const wait = async (waiter: number): Promise<void> => {
    await until(start);
    while (now() < end) {
      waitingSince[waiter] ||= now();
      try {
        const release = await locker.acquire(key);
        const asked = waitingSince[waiter];
        const granted = now();
        waitingSince[waiter] = 0;
        if (section > 0) await sleep(section);
        log.push(index * each.waiters + waiter, asked, granted, now());
        await release();
      } catch {
        gaveUp++;
        await turn();
      }
    }
  };
  const all = Promise.all(Array.from({ length: each.waiters }, (_, waiter) => wait(waiter)));
  await until(measured);
  const cpu = cpuMeter();
  await until(end);
  const cpuMs = cpu();
  await Promise.race([all, sleep(GRACE_MS)]);
  return { log: Float64Array.from(log), waitingSince, cpuMs, gaveUp };
}

function contention(name: string, title: string, cases: Scenario['cases'], admits?: Scenario['admits']): Scenario {
  return {
    name,
    title,
    floor: 'BLPOP',
    rounds: { ours: 2, others: 1 },
    pinned: false,
    inTurns: false,
    cases,
    ...(admits && { admits }),
    work: (stage) => work(stage),

    async conduct({ workers, case: each, contender: contenderName, measure }) {
      const start = now() + 100;
      const measuredFrom = start + (each.more?.['warm'] ?? 0);
      const end = start + each.milliseconds;
      for (const worker of workers) worker.send('go', start);
      await until(measuredFrom);
      const measured = await measure();
      await until(end);
      const server = await measured();
      const results = await Promise.all(workers.map((worker) => worker.receive<Result>('done')));

      const seconds = (end - measuredFrom) / 1000;
      const verdict = judge(results, measuredFrom, end);
      const { handOvers, acquisitions } = verdict;
      const sum = (value: (result: Result) => number): number =>
        results.reduce((total, result) => total + value(result), 0);
      return {
        metrics: {
          handOversPerSecond: handOvers / seconds,
          acquisitionsPerSecond: acquisitions / seconds,
          betweenProcessesPerSecond: verdict.betweenProcesses / seconds,
          wait50ms: verdict.wait50,
          wait99ms: verdict.wait99,
          fewest: verdict.fewest,
          most: verdict.most,
          starved: verdict.starved,
          overtakenPercent: verdict.overtakenPercent,
          overlaps: verdict.overlaps,
          gaveUp: sum(({ gaveUp }) => gaveUp),
          commands: sentCommands(server, contender(contenderName).sends) / handOvers,
          scripts: scriptsRun(server) / acquisitions,
          executed: executedCommands(server) / handOvers,
          clientCpuUs: (sum(({ cpuMs }) => cpuMs) / handOvers) * 1000,
          serverCpuUs: (server.cpuMs / handOvers) * 1000,
        },
      };
    },

    columns: [
      { metric: 'handOversPerSecond', title: 'hand-overs/s', ratio: true },
      { metric: 'acquisitionsPerSecond', title: 'acquisitions/s' },
      { metric: 'wait99ms', title: 'wait p99 ms' },
      { metric: 'fewest', title: 'fewest' },
      { metric: 'most', title: 'most' },
      { metric: 'starved', title: 'starved' },
      { metric: 'overtakenPercent', title: 'overtaken %' },
      { metric: 'commands', title: 'commands', digits: 1 },
      { metric: 'scripts', title: 'scripts/acq.', digits: 2 },
      { metric: 'clientCpuUs', title: 'client CPU µs', ratio: true },
      { metric: 'serverCpuUs', title: 'server CPU µs', ratio: true },
      { metric: 'gaveUp', title: 'gave up' },
      { metric: 'overlaps', title: 'overlaps' },
    ],
  };
}

/** @param warm how much of a trial passes before it is measured: the compiler needs some thousands of hand-overs in each process */
function caseOf(processes: number, waiters: number, section: number, milliseconds: number, warm: number): Case {
  const title = `${processes} ${processes === 1 ? 'process' : 'processes'} × ${waiters}, section ${section} ms`;
  return { title, processes, waiters, keys: 1 + processes, milliseconds, more: { section, warm } };
}

/** Other libraries, at 2 × 18 trials for each case, take part in this alone, and tuned in that. */
const FOR_ALL = '4 processes × 16';
const FOR_TUNED = '1 process × 32';

export const contended = contention(
  'contention',
  'Contention: everybody wants the same key, all the time',
  (effort) =>
    effort === 'quick'
      ? [caseOf(4, 16, 0, 4000, 2400), caseOf(4, 16, 5, 2500, 1500)]
      : [
          caseOf(1, 32, 0, 10_000, 8000),
          caseOf(1, 32, 5, 5000, 3000),
          caseOf(4, 8, 0, 10_000, 8000),
          caseOf(4, 16, 0, 10_000, 8000),
          caseOf(4, 16, 5, 5000, 3000),
        ],
  ({ kind, tuned }, { title }) =>
    kind !== 'peer' || title.startsWith(FOR_ALL) || (tuned === true && title.startsWith(FOR_TUNED)),
);

/** Without the settings that nobody would choose for a crowd. */
export const crowding = contention(
  'crowding',
  'Crowding: what more waiters cost, over 4 processes',
  (effort) =>
    [8, 64, 512].map((waiters) =>
      effort === 'quick' ? caseOf(4, waiters / 4, 0, 2500, 1500) : caseOf(4, waiters / 4, 0, 10_000, 8000),
    ),
  ({ kind, tuned }) => kind !== 'peer' || tuned === true,
);
