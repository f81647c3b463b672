/**
 * `npm run test:under-load -- --demo 20 --unit 20`: runs the demo and the unit tests that often, beside a process that takes all of a core.
 * A run that fails only then is a flaky test, or worse. Prints what each failed run said, and fails when one did.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { demo: { type: 'string', default: '20' }, unit: { type: 'string', default: '5' } },
});

/** What is run, and how often. */
const suites = [
  { name: 'demo', command: ['npm', 'run', '--silent', 'demo'], times: Number(values.demo) },
  { name: 'unit', command: ['npx', 'vitest', 'run', '--project', 'unit'], times: Number(values.unit) },
] as const;

/** How much of a failed run is shown, in lines. */
const SHOWN = 60;

interface Run {
  readonly code: number | null;
  readonly output: string;
  readonly seconds: number;
}

const busy = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
process.on('exit', () => busy.kill());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

let failed = 0;
for (const { name, command, times } of suites) {
  const seconds: number[] = [];
  let green = 0;
  for (let round = 1; round <= times; round++) {
    const run = await once(command);
    seconds.push(run.seconds);
    if (run.code === 0) green++;
    else console.log(`\n${name}, run ${round}, ended with ${run.code}:\n${lastOf(run.output)}\n`);
  }
  failed += times - green;
  if (times > 0) console.log(`${name}: ${green} of ${times} green, ${Math.max(...seconds).toFixed(0)} s at most`);
}
process.exit(failed === 0 ? 0 : 1);

async function once([command, ...args]: readonly [string, ...string[]]): Promise<Run> {
  const began = performance.now();
  const child = spawn(command, args, { env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise<number | null>((resolve) => void child.once('close', resolve));
  return { code, output, seconds: (performance.now() - began) / 1_000 };
}

/** The passed tests are many and say nothing. */
function lastOf(output: string): string {
  const lines = output.split('\n').filter((line) => !line.includes('✓'));
  return lines.slice(-SHOWN).join('\n');
}
