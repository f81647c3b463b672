import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startRedis } from '../test/servers/redis.js';
import { buildIfStale, repository } from './built.js';
import { contenders } from './contenders/index.js';
import type { BenchOptions } from './options.js';
import { installPeers } from './peers/install.js';
import { describeMachine } from './report/machine.js';
import { writePlots } from './report/plots.js';
import { Results } from './report/results.js';
import { caseTable } from './report/table.js';
import { targetTable } from './report/targets.js';
import { scenario, scenarios } from './scenarios/index.js';
import type { Scenario } from './scenarios/scenario.js';
import { entrants, runScenario } from './schedule.js';
import type { Bench } from './trial/trial.js';

/** Measures everything on one Redis of its own. */
export async function benchRedis(options: BenchOptions): Promise<void> {
  const chosen = options.only?.map(scenario) ?? scenarios;
  const field = entrants(contenders, options);
  buildIfStale();
  if (field.some(({ kind }) => kind === 'peer')) installPeers();

  await using server = await startRedis({ args: ['--appendonly', 'no', '--maxclients', '20000'] });
  const own = process.env['REDIS_URL'] === undefined;
  const admin = new Redis(server.url);
  const workerCores = options.pin && own ? separate(server.pid) : undefined;
  const bench: Bench = { port: server.port, admin, own, workerCores };
  const machine = await describeMachine(admin, workerCores);
  console.log(
    `${Object.entries(machine)
      .map(([what, value]) => `${what}: ${value}`)
      .join('\n')}\n`,
  );

  const results = new Results();
  const started = Date.now();
  const reportOn = (each: Scenario): void => {
    for (const title of results.cases(each)) console.log(caseTable(results, each, title));
  };
  for (const each of chosen) {
    console.log(`\n## ${each.title}\n`);
    await runScenario(bench, each, field, options, results);
    reportOn(each);
  }
  admin.disconnect();

  console.log(targetTable(results));
  for (const failure of results.failures()) console.log(`Failed: ${failure}`);
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(`\n${results.size} trials in ${Math.floor(seconds / 60)} min ${seconds % 60} s`);
  if (options.json)
    writeFileSync(options.json, `${JSON.stringify({ machine, seconds, ...results.toJSON() }, null, 1)}\n`);
  const plots = options.plots ?? (options.effort === 'quick' || options.only ? undefined : join(repository, 'bench'));
  if (plots) writePlots(results, plots);
}

/** Puts the server on the first core; returns the others. Where that cannot be done everything runs where it likes. */
function separate(pid: number): string | undefined {
  const cores = availableParallelism();
  if (cores < 2) return undefined;
  const { status } = spawnSync('taskset', ['-apc', '0', `${pid}`]);
  return status === 0 ? (cores === 2 ? '1' : `1-${cores - 1}`) : undefined;
}
