/**
 * What the admin page costs over 10,000 held locks on one Redis: the CPU of the process that serves it while a browser looks, how long until
 * the first paint and until the first locks are there, and how long Redis stood still for it. `npm run bench -- --page`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { newPage, startBrowser } from '../test/servers/browser.js';
import { startRedis } from '../test/servers/redis.js';
import { buildIfStale } from './built.js';
import { markdown, round } from './report/table.js';

const HELD = 10_000;
/** How long a browser looks, in milliseconds: the look at all locks comes round several times. */
const WATCHED_MS = 60_000;
const SLOW_MICROSECONDS = 2_000;

/** What the processes of `page.process.ts` say. */
export type PageMessage =
  | { readonly ready: string }
  /** In microseconds, since the start of the process. */
  | { readonly cpu: number };

export async function run(): Promise<void> {
  buildIfStale();
  await using server = await startRedis({ own: true, args: ['--appendonly', 'no'] });
  const [holder, page] = [start('hold', server.url), start('serve', server.url)];
  const browser = await startBrowser();
  const client = new Redis(server.url);
  try {
    const [, url] = await Promise.all([ready(holder), ready(page)]);
    const idle = await cpuOver(page, 10_000);
    await client.config('SET', 'slowlog-log-slower-than', SLOW_MICROSECONDS, 'slowlog-max-len', '10000');
    await client.slowlog('RESET');
    const shown = await newPage(browser, { viewport: { width: 1280, height: 900 } });
    const asked = performance.now();
    await shown.goto(url);
    await shown.locator('#rows tr').first().waitFor();
    const first = performance.now() - asked;
    const paint = await shown.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
    );
    await shown.getByText('10,000').first().waitFor();
    const all = performance.now() - asked;
    const watched = await cpuOver(page, WATCHED_MS);
    // Renewals of the holder are among them; the command stands in the fourth place of an entry.
    const slow = (
      (await client.slowlog('GET', 10_000)) as readonly [unknown, unknown, number, readonly string[]][]
    ).map(([, , microseconds, [command = '']]) => `${command} ${round(microseconds / 1_000, 1)} ms`);
    console.log(
      `${HELD} held locks on Redis, load ${loadavg()
        .map((load) => load.toFixed(1))
        .join(' ')}\n`,
    );
    console.log(
      markdown(
        ['what', 'measured', 'at most'],
        [
          ['CPU of the serving process, nobody looks', `${round(idle * 100, 2)} % of a core`, ''],
          ['CPU of the serving process, a browser looks', `${round(watched * 100, 2)} % of a core`, '5 %'],
          ['first contentful paint', `${round(paint, 0)} ms`, '1,000 ms'],
          ['first locks are shown', `${round(first, 0)} ms`, ''],
          ['all are counted', `${round(all, 0)} ms`, ''],
          [
            `commands of Redis above ${SLOW_MICROSECONDS / 1_000} ms`,
            `${slow.length}${slow.length > 0 ? ` (${slow.slice(0, 3).join(', ')})` : ''}`,
            '0',
          ],
        ],
      ),
    );
  } finally {
    client.disconnect();
    await browser.close();
    for (const each of [holder, page]) each.kill('SIGKILL');
  }
}

function start(role: 'hold' | 'serve', redis: string): ChildProcess {
  const file = fileURLToPath(new URL('./page.process.js', import.meta.url));
  return fork(file, [role, redis, `${HELD}`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

function next(child: ChildProcess): Promise<PageMessage> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`The process ended with ${code}.`)));
  });
}

async function ready(child: ChildProcess): Promise<string> {
  const message = await next(child);
  return 'ready' in message ? message.ready : '';
}

/** The share of a core that the process used for so long. */
async function cpuOver(child: ChildProcess, milliseconds: number): Promise<number> {
  const cpu = async (): Promise<number> => {
    const told = next(child);
    child.send('cpu');
    const message = await told;
    return 'cpu' in message ? message.cpu : NaN;
  };
  const [before, startedAt] = [await cpu(), performance.now()];
  await sleep(milliseconds);
  return ((await cpu()) - before) / 1_000 / (performance.now() - startedAt);
}
