/**
 * `npm run test:compat`: the packed library in applications as other people have them, each kind of check in each kind of
 * application. Needs a build and the npm registry; everything happens in a temporary folder. With arguments, only the checks whose name
 * has one of them: `npm run test:compat -- Jest Vitest`, `npm run test:compat -- 'nest new'`.
 */
import { startPostgres } from '../servers/postgres.js';
import { checks } from './checks.js';
import { neighbourChecks } from './neighbours.js';
import { NewApplication, type PackageManager } from './new-application.js';
import { neighbours } from './versions.js';
import { type Neighbourhood, type NestMajor, Workshop } from './workshop.js';

type Outcome = { readonly verdict: 'passed' } | { readonly verdict: 'failed' | 'left out'; readonly why: string };

/** Rows are checks, columns are applications. */
interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly cells: readonly (() => Promise<Outcome>)[] }[];
}

const wanted = process.argv.slice(2);
const isWanted = ({ name }: { readonly name: string }) =>
  wanted.length === 0 || wanted.some((part) => name.includes(part));
const workshop = new Workshop();
process.on('exit', () => workshop.close());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const tables = [await consumers(), neighbourhoods(), withOrms(), newApplications()].filter(
  ({ rows }) => rows.length > 0,
);
const outcomes = new Map<() => Promise<Outcome>, Outcome>();
const tasks = tables.flatMap(({ rows, columns }) =>
  columns.flatMap((_, at) => rows.flatMap(({ cells }) => cells.slice(at, at + 1))),
);
// Two at a time: what a small machine has cores for.
await Promise.all([worker(), worker()]);
for (const table of tables) report(table);
const all = [...outcomes.values()];
const count = (verdict: Outcome['verdict']) => all.filter((outcome) => outcome.verdict === verdict).length;
console.log(`\n${count('passed')} passed, ${count('failed')} failed`);
process.exitCode = count('failed') === 0 ? 0 : 1;

/** The package in applications that import it in every way. */
async function consumers(): Promise<Table> {
  const chosen = checks.filter(isWanted);
  const columns = chosen.length > 0 ? await workshop.furnish() : [];
  return {
    columns: columns.map(({ name }) => name),
    rows: chosen.map(({ name, unless, run }) => ({
      name,
      cells: columns.map((consumer) => async () => {
        const why = unless?.(consumer);
        return why ? { verdict: 'left out', why } : attempt(() => run(consumer, workshop));
      }),
    })),
  };
}

/** The package beside other libraries in one application. */
function neighbourhoods(): Table {
  // What the names are is known; `keys` gives any string.
  const columns = Object.keys(neighbours) as (keyof typeof neighbours)[];
  const made = new Map<string, Promise<Neighbourhood>>();
  const settled = (name: keyof typeof neighbours) => {
    const neighbourhood = made.get(name) ?? workshop.settle(name);
    made.set(name, neighbourhood);
    return neighbourhood;
  };
  return {
    columns,
    rows: neighbourChecks.filter(isWanted).map(({ name, unless, run }) => ({
      name,
      cells: columns.map((column) => async (): Promise<Outcome> => {
        const why = unless?.(column);
        return why ? { verdict: 'left out', why } : attempt(async () => run(await settled(column), workshop));
      }),
    })),
  };
}

/** The recipes of the page of PostgreSQL, each over a real one. */
function withOrms(): Table {
  const names = ['TypeORM', 'Drizzle', 'Kysely', 'Prisma (driver adapter)', 'Knex', 'MikroORM'];
  const run = async (): Promise<void> => {
    const dir = await workshop.settleOrms();
    const server = await startPostgres({ own: true });
    try {
      const said = await workshop.run(dir, process.execPath, ['out/recipes.js'], { DATABASE_URL: server.url });
      for (const name of names) if (!said.includes(`${name}: locked`)) throw new Error(said);
    } finally {
      await server.stop();
    }
  };
  const rows = [{ name: `ORMs on PostgreSQL: ${names.join(', ')}`, cells: [() => attempt(run)] }];
  return { columns: ['Nest 12 ESM'], rows: rows.filter(isWanted) };
}

/** What `nest new` makes, with the README pasted into it. */
function newApplications(): Table {
  const kinds = ([11, 12] as const).flatMap((nest) =>
    (['npm', 'pnpm'] as const).map((packages) => ({ nest, packages })),
  );
  const made = new Map<string, Promise<NewApplication>>();
  const make = (nest: NestMajor, packages: PackageManager) => {
    const key = `${nest} ${packages}`;
    const app =
      made.get(key) ?? workshop.prepare().then((tarball) => NewApplication.make(workshop, nest, packages, tarball));
    made.set(key, app);
    return app;
  };
  const steps: readonly { name: string; inAll?: true; run: (app: NewApplication) => Promise<void> }[] = [
    { name: 'nest new, every block of the README, nest build', inAll: true, run: (app) => app.build() },
    { name: 'nest new: unit and integration tests (Jest on 11, Vitest on 12)', run: (app) => app.unitTests() },
    { name: 'nest new: end-to-end tests', run: (app) => app.endToEndTests() },
    { name: 'nest new, two pods over Redis: built by tsc', run: (app) => app.runsByTsc() },
    { name: 'nest new, two pods over Redis: built by swc', run: (app) => app.runsBySwc() },
  ];
  return {
    columns: kinds.map(({ nest, packages }) => `Nest ${nest}, ${packages}`),
    rows: steps.filter(isWanted).map(({ name, inAll, run }) => ({
      name,
      cells: kinds.map(({ nest, packages }) => async (): Promise<Outcome> => {
        if (inAll || (packages === 'npm') === (nest === 11))
          return attempt(async () => run(await make(nest, packages)));
        return { verdict: 'left out', why: 'How a package manager lays out packages shows in the build' };
      }),
    })),
  };
}

async function attempt(work: () => Promise<void>): Promise<Outcome> {
  try {
    await work();
    return { verdict: 'passed' };
  } catch (error) {
    return { verdict: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

async function worker(): Promise<void> {
  for (let task = tasks.shift(); task; task = tasks.shift()) outcomes.set(task, await task());
}

function report({ columns, rows }: Table): void {
  const signs = { passed: 'ok', failed: 'FAILED', 'left out': '–' } as const;
  const firstColumn = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const line = (first: string, rest: readonly string[]) =>
    console.log(first.padEnd(firstColumn) + rest.map((cell) => cell.padEnd(18)).join(''));

  console.log(`\nNode ${process.version}\n`);
  line('', columns);
  const results = rows.flatMap(({ name, cells }) =>
    cells.map((cell, at) => ({
      name,
      where: `${columns[at] ?? ''}, ${name}`,
      outcome: outcomes.get(cell) ?? { verdict: 'failed' as const, why: 'was never run' },
    })),
  );
  for (const { name } of rows) {
    line(
      name,
      results.filter((result) => result.name === name).map(({ outcome }) => signs[outcome.verdict]),
    );
  }
  const reasons = new Set(results.flatMap(({ outcome }) => (outcome.verdict === 'left out' ? [outcome.why] : [])));
  if (reasons.size > 0) console.log(`\n– left out:\n${[...reasons].map((reason) => `  ${reason}`).join('\n')}`);
  for (const { where, outcome } of results) {
    if (outcome.verdict === 'failed') console.log(`\nFAILED ${where}\n${outcome.why}`);
  }
}
