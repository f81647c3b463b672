/**
 * `npm run test:mutants`: puts each deliberate bug of `mutants.ts` into a copy of the library and runs the test that has to find it.
 * Fails when one is not found, or when its text stands in the source no more.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Killer, type Mutant, mutants, type NamedTest } from './mutants.js';

/** A test that hangs has noticed something, too. */
const PATIENCE_MS = 90_000;
/** All tests together, without a bug. */
const PATIENCE_WITH_ALL_MS = 400_000;
const PARTS = ['lib', 'test', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'vitest.config.ts'];

interface TestReport {
  readonly fullName: string;
  readonly status: 'passed' | 'failed' | 'skipped' | 'pending' | 'todo';
}

interface Report {
  readonly testResults: readonly { readonly message?: string; readonly assertionResults: readonly TestReport[] }[];
}

interface Outcome {
  readonly verdict: 'killed' | 'survived' | 'broken';
  readonly why: string;
}

const repository = fileURLToPath(new URL('../..', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'lock-mutants-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

/** A copy of the repository, for one mutant at a time. */
class Bed {
  constructor(private readonly root: string) {
    mkdirSync(root);
    for (const part of PARTS) cpSync(join(repository, part), join(root, part), { recursive: true });
    symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
  }

  async judge({ file, find, replace, killedBy }: Mutant): Promise<Outcome> {
    const path = join(this.root, 'lib', file);
    const source = readFileSync(path, 'utf8');
    const found = source.split(find).length - 1;
    if (found !== 1) return { verdict: 'broken', why: `its text stands ${found} times in lib/${file}` };
    writeFileSync(
      path,
      source.replace(find, () => replace),
    );
    try {
      return await this.#judge(killedBy);
    } finally {
      writeFileSync(path, source);
    }
  }

  /** Whether these tests pass without any bug: otherwise they prove nothing. */
  async passAll(tests: readonly NamedTest[]): Promise<Outcome> {
    const specs = [...new Set(tests.map(({ spec }) => spec))];
    const ran = await this.#run(specs, tests.map(({ test }) => escaped(test)).join('|'), {}, PATIENCE_WITH_ALL_MS);
    if (ran === 'hung') return { verdict: 'broken', why: 'they never end' };
    const failed = ran.find(({ status }) => status === 'failed');
    if (failed) return { verdict: 'broken', why: `this one fails: ${failed.fullName.trim()}` };
    const missing = tests.find(({ test }) => !ran.some(({ fullName }) => fullName.endsWith(test)));
    if (missing) return { verdict: 'broken', why: `no such test in ${missing.spec}: ${missing.test}` };
    return { verdict: 'killed', why: `${ran.length} tests` };
  }

  async #judge(killer: Killer): Promise<Outcome> {
    const isSimulation = 'simulation' in killer;
    const spec = isSimulation ? `test/simulation/${killer.simulation}.spec.ts` : killer.spec;
    const ran = await this.#run(
      [spec],
      isSimulation ? 'keeps its promises' : escaped(killer.test),
      isSimulation ? { SIM_SEEDS: String(killer.seeds) } : {},
    );
    if (ran === 'hung') return { verdict: 'killed', why: 'the test never ended' };
    if (ran.length === 0) return { verdict: 'broken', why: `no such test in ${spec}, or it cannot be loaded` };
    const failed = ran.find(({ status }) => status === 'failed');
    return failed
      ? { verdict: 'killed', why: failed.fullName.trim() }
      : { verdict: 'survived', why: `${ran.length} tests of ${spec} pass` };
  }

  /** The tests that ran. */
  async #run(
    specs: readonly string[],
    names: string,
    env: Record<string, string> = {},
    patience = PATIENCE_MS,
  ): Promise<readonly TestReport[] | 'hung'> {
    const outputFile = join(this.root, 'report.json');
    rmSync(outputFile, { force: true });
    const args = [...specs, '-t', names, '--bail', '1', '--reporter', 'json', '--outputFile', outputFile];
    if ((await this.#vitest(args, env, patience)) === 'hung') return 'hung';
    const tests = reportOf(outputFile)?.testResults.flatMap(({ assertionResults }) => assertionResults) ?? [];
    return tests.filter(({ status }) => status === 'passed' || status === 'failed');
  }

  #vitest(args: readonly string[], env: Record<string, string>, patience: number): Promise<'ended' | 'hung'> {
    return new Promise((resolve) => {
      const vitest = join(repository, 'node_modules/vitest/vitest.mjs');
      const child = spawn(process.execPath, [vitest, 'run', '--root', this.root, ...args], {
        env: { ...process.env, NO_COLOR: '1', ...env },
        stdio: 'ignore',
        // A group of its own, so that what it started ends with it.
        detached: true,
      });
      const stop = (): void => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      };
      process.once('exit', stop);
      const bell = setTimeout(() => {
        stop();
        resolve('hung');
      }, patience);
      child.once('close', () => {
        clearTimeout(bell);
        process.off('exit', stop);
        resolve('ended');
      });
    });
  }
}

function reportOf(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

/** As vitest reads names: as a regular expression, which here is the end of one. */
const escaped = (name: string): string => `${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;

const wanted = process.argv.slice(2).join(' ');
const chosen = mutants.filter(({ bug, file }) => `${file} ${bug}`.includes(wanted));
// The simulation has its own run, over all of these seeds.
const tests = chosen.flatMap(({ killedBy }) => ('test' in killedBy ? [killedBy] : []));
const needsServer = ({ spec }: NamedTest): boolean => /^test\/(contract|faults)/.test(spec);
const withServer = tests.filter(needsServer);
const withoutServer = tests.filter((test) => !needsServer(test));
const jobs: { readonly name: string; readonly run: (bed: Bed) => Promise<Outcome> }[] = [
  ...[withServer, withoutServer]
    .filter((some) => some.length > 0)
    .map((some) => ({ name: 'without any bug all of these tests pass', run: (bed: Bed) => bed.passAll(some) })),
  ...chosen.map((mutant) => ({ name: mutant.bug, run: (bed: Bed) => bed.judge(mutant) })),
];

let passed = 0;
let failed = 0;
const began = Date.now();
// Two at a time: what a small machine has cores for.
await Promise.all([work(new Bed(join(dir, 'one'))), work(new Bed(join(dir, 'other')))]);
console.log(`\n${passed} passed, ${failed} failed (${Math.round((Date.now() - began) / 1_000)} s)`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

async function work(bed: Bed): Promise<void> {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const { verdict, why } = await job.run(bed);
    if (verdict === 'killed') passed++;
    else failed++;
    console.log(`${verdict === 'killed' ? 'ok' : `FAILED (${verdict})`}  ${job.name}\n      ${why}`);
  }
}
