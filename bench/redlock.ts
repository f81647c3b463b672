/**
 * What a lock costs that a majority of five Redis masters grants, beside the least that five servers can do, the npm package `redlock`
 * on the same servers, and our locks on one Redis. `npm run bench -- --backend redlock`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type { redlock as redlockBackend } from '../lib/backends/redlock/index.js';
import type { LockEngine as Engine } from '../lib/engine/engine.js';
import { type RedisServer, startRedis } from '../test/servers/redis.js';
import { buildIfStale, importBuilt, repository } from './built.js';
import { handOver, pause } from './hand-over.js';
import { compete, HEAD, row, time } from './paired.js';
import type { Contention, Turns } from './redlock-contender.js';
import { median, percentile } from './report/statistics.js';
import { markdown, round } from './report/table.js';

const LIMITS = { pair: 1.3, frozen: 2, handOver: 50, contention: 0.8 };
const SERVERS = 5;
const PROCESSES = 4;
const CONTENDERS = 5;
const SECTION_MS = 5;
const CONTENTION_MS = 4_000;
const DELETE_IF_MINE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;
const SHA = createHash('sha1').update(DELETE_IF_MINE).digest('hex');

interface RedlockBenchOptions {
  readonly effort?: 'quick' | 'full' | 'long';
  readonly rounds?: number | undefined;
}

/** As the package has it in version 5. */
type Package = new (clients: readonly Redis[]) => {
  on(event: 'error', listener: () => void): unknown;
  acquire(resources: string[], ttl: number): Promise<{ release(): Promise<unknown> }>;
};

export async function run(options: RedlockBenchOptions = {}): Promise<void> {
  buildIfStale();
  const { LockEngine } = await importBuilt<{ LockEngine: typeof Engine }>('engine/engine.js');
  const { redlock } = await importBuilt<{ redlock: typeof redlockBackend }>('backends/redlock/index.js');
  const servers = await Promise.all(Array.from({ length: SERVERS }, () => startRedis({ own: true })));
  const urls = servers.map(({ url }) => url);
  const open = (): Engine => new LockEngine(redlock({ urls, restartGuard: false }));
  const clients = urls.map((url) => new Redis(url).on('error', () => undefined));
  await Promise.all(clients.map((client) => client.script('LOAD', DELETE_IF_MINE)));
  const bursts = options.rounds ?? (options.effort === 'quick' ? 30 : 50);
  const [one, other] = [open(), open()];
  let count = 0;
  const pair = (engine: Engine) => time(async () => (await engine.acquire(`ours:${++count % 500}`)).release());
  const raw = async (): Promise<void> => {
    const key = `raw:${++count}`;
    await Promise.all(clients.map((client) => client.set(key, 'owner', 'PX', 10_000, 'NX')));
    await Promise.all(clients.map((client) => client.evalsha(SHA, 1, key, 'owner')));
  };

  const pairs = await compete({ floor: () => time(raw), ours: () => pair(one) }, bursts);
  const rows = [row('acquire + release, beside SET NX × 5 + compare-and-delete × 5', pairs, LIMITS.pair)];
  for (const [which, frozen] of [
    ['the last two', servers.slice(3)],
    ['the first two', servers.slice(0, 2)],
  ] as const) {
    const stopped = open();
    await (await stopped.acquire('warm')).release();
    await handOver(stopped, one, 'warm');
    const free = await measure(() => pair(stopped), bursts);
    for (const server of frozen) server.pause();
    const ours = await measure(() => pair(stopped), bursts);
    for (const server of frozen) server.resume();
    await stopped.close(0);
    rows.push(row(`acquire + release, ${which} frozen, beside none`, { floor: free, ours }, LIMITS.frozen));
  }
  const fenced = new LockEngine(redlock({ urls, restartGuard: false, fencing: true }));
  const withTokens = await compete({ floor: () => pair(one), ours: () => pair(fenced) }, Math.ceil(bursts / 2));
  rows.push(row('acquire + release with `fencing`, beside without', withTokens, 2));
  await fenced.close(0);

  const pushed: number[] = [];
  for (let i = 0; i < bursts * 4; i++) {
    const taken = await handOver(one, other, `handed:${i}`);
    if (i >= bursts) pushed.push(taken);
  }
  const polled = await handOversOfPackage(clients, Math.ceil(bursts * 0.8));
  await Promise.all([one.close(0), other.close(0)]);

  console.log(`Redlock on ${SERVERS} masters, Node ${process.version}, load ${loads()}\n`);
  console.log(markdown([...HEAD], rows));
  const faster = median(polled) / median(pushed);
  console.log(
    `\n${markdown(
      ['hand-over, milliseconds', 'n', 'p50', 'p99', 'times as fast', 'at least', ''],
      [
        ['the npm package redlock 5 beta', ...figures(polled), '', '', ''],
        [
          'ours',
          ...figures(pushed),
          round(faster, 0),
          `${LIMITS.handOver}`,
          faster >= LIMITS.handOver ? 'met' : 'missed',
        ],
      ],
    )}`,
  );
  await contention(servers, options.effort === 'quick' ? 3 : 5);
  for (const client of clients) client.disconnect();
  await Promise.all(servers.map((server) => server.stop()));
}

/** Milliseconds of each, after a warm-up. */
async function measure(once: () => Promise<number>, bursts: number): Promise<number[]> {
  const taken: number[] = [];
  for (let i = -200; i < bursts * 17; i++) {
    const milliseconds = await once();
    if (i >= 0) taken.push(milliseconds);
  }
  return taken;
}

/** The package with the settings that it has unless told: it asks every 200 ms, give or take 100. */
async function handOversOfPackage(clients: readonly Redis[], times: number): Promise<number[]> {
  const { default: Redlock } = createRequire(join(repository, 'package.json'))('redlock') as { default: Package };
  const redlock = new Redlock(clients);
  // Every busy answer is such an event.
  redlock.on('error', () => undefined);
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const lock = await redlock.acquire([`package:${i}`], 10_000);
    const next = redlock.acquire([`package:${i}`], 10_000);
    // Released at any moment of its pause.
    await pause(300 * Math.random());
    const releasedAt = performance.now();
    const released = lock.release();
    const handed = await next;
    taken.push(performance.now() - releasedAt);
    await released;
    await handed.release();
  }
  return taken;
}

/** Contenders of several processes who all want one key, on five masters and on one Redis by turns. */
async function contention(servers: readonly RedisServer[], rounds: number): Promise<void> {
  const urls = servers.map(({ url }) => url);
  const totals = { majority: [] as number[], single: [] as number[] };
  let [least, most] = [Infinity, 0];
  for (let round = 0; round < rounds; round++) {
    const common = { key: `wanted:${round}`, contenders: CONTENDERS, sectionMs: SECTION_MS, forMs: CONTENTION_MS };
    const majority = await contend({ ...common, urls });
    const single = await contend({ ...common, urls: urls.slice(0, 1) });
    totals.majority.push(sum(majority));
    totals.single.push(sum(single));
    least = Math.min(least, ...majority);
    most = Math.max(most, ...majority);
  }
  const share = median(totals.majority) / median(totals.single);
  console.log(
    `\n${markdown(
      [
        `${PROCESSES} processes × ${CONTENDERS} contenders, ${SECTION_MS} ms inside`,
        'hand-overs a second',
        'share',
        'at least',
        '',
      ],
      [
        ['one Redis', perSecond(totals.single), '', '', ''],
        [
          'five masters',
          perSecond(totals.majority),
          round(share, 2),
          `${LIMITS.contention}`,
          share >= LIMITS.contention ? 'met' : 'missed',
        ],
      ],
    )}\n\nTurns of one contender on five masters: ${least} to ${most} in ${CONTENTION_MS / 1_000} s. Load ${loads()}.`,
  );
}

/** The turns of each contender. */
async function contend(task: Contention): Promise<number[]> {
  const program = fileURLToPath(new URL('redlock-contender.js', import.meta.url));
  const processes = Array.from({ length: PROCESSES }, () => fork(program));
  const next = (child: ChildProcess) =>
    new Promise<Turns>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Turns));
      child.once('exit', () => reject(new Error('a process of the bench ended')));
    });
  const ready = processes.map(next);
  for (const child of processes) child.send(task);
  await Promise.all(ready);
  const results = processes.map(next);
  for (const child of processes) child.send('go');
  const turns = (await Promise.all(results)).flatMap((result) => result.turns);
  for (const child of processes) child.disconnect();
  return turns;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const perSecond = (totals: readonly number[]): string => round(median(totals) / (CONTENTION_MS / 1_000), 1);
const figures = (taken: readonly number[]): string[] => [
  `${taken.length}`,
  round(median(taken), 2),
  round(percentile(taken, 0.99), 2),
];
const loads = (): string =>
  loadavg()
    .map((load) => load.toFixed(1))
    .join(' ');
