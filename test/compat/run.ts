/**
 * `npm run test:compat`: the packed library in applications as other people have them, each kind of check in each kind of
 * application. Needs a build and the npm registry; everything happens in a temporary folder. With arguments, only the checks whose name
 * has one of them: `npm run test:compat -- Jest Vitest`.
 */
import { type Check, checks as all } from './checks.js';
import { type Consumer, Workshop } from './workshop.js';

type Outcome = { readonly verdict: 'passed' } | { readonly verdict: 'failed' | 'left out'; readonly why: string };

const wanted = process.argv.slice(2);
const checks = all.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const workshop = new Workshop();
process.on('exit', () => workshop.close());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const consumers = await workshop.furnish();
const tasks = consumers.flatMap((consumer) => checks.map((check) => ({ check, consumer })));
const outcomes = new Map<string, Outcome>();
// Two at a time: what a small machine has cores for.
await Promise.all([worker(), worker()]);
report();

async function worker(): Promise<void> {
  for (let task = tasks.shift(); task; task = tasks.shift()) {
    outcomes.set(idOf(task.check, task.consumer), await judge(task.check, task.consumer));
  }
}

async function judge(check: Check, consumer: Consumer): Promise<Outcome> {
  const why = check.unless?.(consumer);
  if (why) return { verdict: 'left out', why };
  try {
    await check.run(consumer, workshop);
    return { verdict: 'passed' };
  } catch (error) {
    return { verdict: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

function report(): void {
  const signs = { passed: 'ok', failed: 'FAILED', 'left out': '–' } as const;
  const firstColumn = Math.max(...checks.map(({ name }) => name.length)) + 2;
  const line = (first: string, rest: readonly string[]) =>
    console.log(first.padEnd(firstColumn) + rest.map((cell) => cell.padEnd(18)).join(''));

  console.log(`Node ${process.version}\n`);
  line(
    '',
    consumers.map(({ name }) => name),
  );
  for (const check of checks)
    line(
      check.name,
      consumers.map((consumer) => signs[outcomeOf(check, consumer).verdict]),
    );

  const results = consumers.flatMap((consumer) =>
    checks.map((check) => ({ where: `${consumer.name}, ${check.name}`, outcome: outcomeOf(check, consumer) })),
  );
  const reasons = new Set(results.flatMap(({ outcome }) => (outcome.verdict === 'left out' ? [outcome.why] : [])));
  console.log(`\n– left out:\n${[...reasons].map((reason) => `  ${reason}`).join('\n')}`);
  for (const { where, outcome } of results) {
    if (outcome.verdict === 'failed') console.log(`\nFAILED ${where}\n${outcome.why}`);
  }
  const count = (verdict: Outcome['verdict']) => results.filter(({ outcome }) => outcome.verdict === verdict).length;
  console.log(`\n${count('passed')} passed, ${count('failed')} failed`);
  process.exitCode = count('failed') === 0 ? 0 : 1;
}

function outcomeOf(check: Check, consumer: Consumer): Outcome {
  return outcomes.get(idOf(check, consumer)) ?? { verdict: 'failed', why: 'was never run' };
}

function idOf(check: Check, consumer: Consumer): string {
  return `${consumer.name}: ${check.name}`;
}
