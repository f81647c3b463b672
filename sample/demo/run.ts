/**
 * The shop of sample/01-orders, several times over one stock, in a rush of customers: first without a lock, then with `@Locked`.
 *
 *     npm run demo                                        several applications in this process, locks in memory
 *     npm run demo -- --backend redis --processes 4       four processes, locks on a real Redis, which it starts (and installs if need be)
 */
import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { install } from '../../test/servers/install.js';
import { startRedis } from '../../test/servers/redis.js';
import { complaints, progressBar, table } from './report.js';
import { type Result, type Rush, rush } from './rush.js';
import { openHere, openProcess } from './shop.js';

type Closer = () => Promise<unknown>;

async function demo({ backend, processes, ...counts }: Settings, closers: Closer[]): Promise<boolean> {
  const warehouse = mkdtempSync(join(tmpdir(), 'lock-demo-'));
  process.on('exit', () => rmSync(warehouse, { recursive: true, force: true }));
  process.env['WAREHOUSE'] = warehouse;
  const where = backend === 'redis' ? await onRedis(closers) : inMemory();

  const shops = await Promise.all(Array.from({ length: processes }, backend === 'redis' ? openProcess : openHere));
  closers.push(() => Promise.all(shops.map((shop) => shop.close())));
  const { orders, stock, customers } = counts;
  const pods = backend === 'redis' ? `${processes} processes` : `${processes} Nest applications in this process`;
  say(
    `\n  A shop with ${stock} chairs, in ${pods}. ${customers} customers at a time, ${orders} orders. Locks ${where}.\n`,
  );

  const round = (path: Rush['path'], title: string): Promise<Result> =>
    rush(shops, { path, ...counts }, progressBar(title, orders));
  const without = await round('orders-without-lock', 'Without a lock');
  const locked = await round('orders', 'With @Locked');
  say(`\n${table(without, locked)}\n`);

  const wrong = complaints(locked, orders);
  for (const complaint of wrong.slice(0, 10)) say(`  WRONG: ${complaint}`);
  if (wrong.length > 10) say(`  WRONG: and ${wrong.length - 10} more of the kind.`);
  if (wrong.length === 0)
    say(
      '  Right: with the lock nobody overlapped, nothing was sold twice, the line was kept, and every token was higher than the last.\n',
    );
  return wrong.length === 0;
}

function inMemory(): string {
  delete process.env['REDIS_URL'];
  return 'in memory';
}

async function onRedis(closers: Closer[]): Promise<string> {
  install(['redis-server']);
  const redis = await startRedis();
  closers.push(() => redis.stop());
  process.env['REDIS_URL'] = redis.url;
  return `on Redis at ${redis.host}:${redis.port}`;
}

interface Settings {
  readonly backend: 'memory' | 'redis';
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
  const { backend } = values;
  if (backend !== 'memory' && backend !== 'redis') throw new Error(`--backend is ${backend}; it is memory or redis.`);
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
process.once('SIGINT', () => process.exit(130));
const closers: Closer[] = [];
try {
  process.exitCode = (await demo(settings(), closers)) ? 0 : 1;
} catch (error) {
  process.exitCode = 1;
  say(`  The demo could not be run: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  for (const close of closers.toReversed()) await close();
}
