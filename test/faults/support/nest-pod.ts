/** A Nest application as its users start it, with a job of minutes. Its arguments are in `process.argv[2]`, as JSON. */
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { currentLock, DistributedLockModule, Locked, LockService } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';
import { now } from './machine-clock.js';

/** What it says of itself, and when, by the clock of the machine. */
export interface Said {
  readonly what: 'acquired' | 'waiting' | 'told' | 'stopped' | 'released';
  readonly at: number;
  readonly more?: unknown;
}

export interface NestPodOptions {
  readonly url: string;
  readonly onShutdown: 'finish' | 'abort';
  readonly shutdownGrace: number;
}

const { url, onShutdown, shutdownGrace } = JSON.parse(process.argv[2] ?? '{}') as NestPodOptions;
const say = (what: Said['what'], more?: unknown) => process.send?.({ what, at: now(), more } satisfies Said);

@Injectable()
class Imports {
  @Locked('import', { onShutdown, wait: '1m' })
  async import(): Promise<void> {
    const signal = currentLock()?.signal;
    say('acquired');
    signal?.addEventListener('abort', () => say('told', (signal.reason as { code?: string }).code));
    // A step every tenth of a second, for ten minutes.
    for (let step = 0; step < 6_000 && !signal?.aborted; step += 1) await sleep(100);
    await sleep(50);
    say('stopped', currentLock()?.held);
  }
}

@Module({
  imports: [DistributedLockModule.forRoot({ backend: redis({ url }), shutdownGrace, log: false })],
  providers: [Imports],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
app.enableShutdownHooks();
app.get(LockService).events$.subscribe((event) => {
  if (event.type === 'waiting') say('waiting');
  if (event.type === 'released') say('released', event.reasonCode);
});
await app.get(Imports).import();
