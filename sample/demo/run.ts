/**
 * The shop of sample/05-any-backend, several times over one stock, in a rush of customers: first without a lock, then with `@Locked`.
 *
 *     npm run demo                                        several applications in this process, locks in memory
 *     npm run demo -- --backend redis --processes 4       four processes, locks on a real Redis, which it starts (and installs if need be)
 *     npm run demo -- --backend zookeeper                 the same on ZooKeeper; or redlock, etcd, consul, postgres, mysql
 */
import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BackendName, backendNames } from '../05-any-backend/src/backend.js';
import { complaints, progressBar, table } from './report.js';
import { type Result, type Rush, rush } from './rush.js';
import { startServers } from './servers.js';
import { openHere, openProcess, type Shop } from './shop.js';

type Closer = () => Promise<unknown>;

async function demo({ backend, processes, ...counts }: Settings, closers: Closer[]): Promise<boolean> {
  const warehouse = mkdtempSync(join(tmpdir(), 'lock-demo-'));
  process.on('exit', () => rmSync(warehouse, { recursive: true, force: true }));
  process.env['WAREHOUSE'] = warehouse;
  const { addresses, where, inOrder } = await startServers(backend, closers);
  // What the shop reads.
  Object.assign(process.env, { LOCK_BACKEND: backend, LOCK_SERVERS: addresses });

  const open = async (): Promise<Shop> => {
    const shop = await (backend === 'memory' ? openHere() : openProcess());
    closers.push(() => shop.close());
    return shop;
  };
  // One after another: a process that has to wait for a processor while it starts takes its server for silent.
  const shops: Shop[] = [];
  for (let number = 0; number < processes; number++) shops.push(await open());
  const { orders, stock, customers } = counts;
  const pods = backend === 'memory' ? `${processes} Nest applications in this process` : `${processes} processes`;
  say(
    `\n  A shop with ${stock} chairs, in ${pods}. ${customers} customers at a time, ${orders} orders. Locks ${where}.\n`,
  );

  const round = (path: Rush['path'], title: string): Promise<Result> =>
    rush(shops, { path, inOrder, ...counts }, progressBar(title, orders));
  const without = await round('orders-without-lock', 'Without a lock');
  const locked = await round('orders', 'With @Locked');
  say(`\n${table(without, locked)}\n`);

  const wrong = complaints(locked, orders);
  for (const complaint of wrong.slice(0, 10)) say(`  WRONG: ${complaint}`);
  if (wrong.length > 10) say(`  WRONG: and ${wrong.length - 10} more of the kind.`);
  if (wrong.length === 0)
    say(
      `  Right: with the lock nobody overlapped, nothing was sold twice, ${inOrder ? 'the line was kept, ' : ''}and every token was higher than the last.\n`,
    );
  return wrong.length === 0;
}

interface Settings {
  readonly backend: BackendName;
  readonly processes: number;
  readonly orders: number;
  readonly stock: number;
  readonly customers: number;
}

/** @throws when there is nothing that could be meant */
function settings(): Settings {
  const { values } = parseArgs({
    options: {
      backend: { type: 'string', default: 'memory' },
      processes: { type: 'string', default: '4' },
      orders: { type: 'string', default: '400' },
      stock: { type: 'string', default: '100' },
      customers: { type: 'string', default: '64' },
    },
  });
  const count = (name: Exclude<keyof typeof values, 'backend'>): number => {
    const number = Number(values[name]);
    if (!Number.isSafeInteger(number) || number < 1)
      throw new Error(`--${name} is ${values[name]}; it is a whole number from 1 up.`);
    return number;
  };
  const backend = backendNames.find((name) => name === values.backend);
  if (!backend) throw new Error(`--backend is ${values.backend}; it is one of ${backendNames.join(', ')}.`);
  return {
    backend,
    processes: count('processes'),
    orders: count('orders'),
    stock: count('stock'),
    customers: count('customers'),
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

// So that what is to be done at the end is done.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => process.exit(128 + number));

const closers: Closer[] = [];
try {
  process.exitCode = (await demo(settings(), closers)) ? 0 : 1;
} catch (error) {
  fail('The demo could not be run', error);
} finally {
  for (const close of closers.toReversed()) {
    await close().catch((error: unknown) => fail('The demo could not be ended well', error));
  }
}

function fail(what: string, error: unknown): void {
  process.exitCode = 1;
  say(`  ${what}: ${error instanceof Error ? error.message : String(error)}`);
}
