/** One process of contenders who all want one key; `redlock.ts` starts it and talks to it. */
import type { redis as redisBackend } from '../lib/backends/redis/index.js';
import type { redlock as redlockBackend } from '../lib/backends/redlock/index.js';
import type { LockEngine as Engine } from '../lib/engine/engine.js';
import { importBuilt } from './built.js';

export interface Contention {
  /** One is our backend for one Redis, more are masters whose majority decides. */
  readonly urls: readonly string[];
  readonly key: string;
  readonly contenders: number;
  /** How long each is inside, in milliseconds. */
  readonly sectionMs: number;
  readonly forMs: number;
}

export interface Turns {
  /** How often each contender was inside. */
  readonly turns: readonly number[];
}

const message = (): Promise<unknown> => new Promise((resolve) => void process.once('message', resolve));
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

process.on('disconnect', () => process.exit(0));
const { urls, key, contenders, sectionMs, forMs } = (await message()) as Contention;
const { LockEngine } = await importBuilt<{ LockEngine: typeof Engine }>('engine/engine.js');
const { redis } = await importBuilt<{ redis: typeof redisBackend }>('backends/redis/index.js');
const { redlock } = await importBuilt<{ redlock: typeof redlockBackend }>('backends/redlock/index.js');
const [only = ''] = urls;
const engine = new LockEngine(urls.length === 1 ? redis({ url: only }) : redlock({ urls, restartGuard: false }));
// The connections are made, and the code is compiled.
for (let i = 0; i < 300; i++) await (await engine.acquire(`warm:${process.pid}`)).release();
const go = message();
process.send?.({ turns: [] } satisfies Turns);
await go;
const end = performance.now() + forMs;
const turns = await Promise.all(
  Array.from({ length: contenders }, async () => {
    let turns = 0;
    while (performance.now() < end) {
      const lock = await engine.acquire(key, { ttl: 10_000 });
      await sleep(sectionMs);
      turns++;
      await lock.release();
    }
    return turns;
  }),
);
await engine.close(0);
process.send?.({ turns } satisfies Turns);
