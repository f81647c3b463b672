/** One process of a service whose clock ticks when the test says so: see ticks.spec.ts. */
import 'reflect-metadata';
import { once } from 'node:events';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DistributedLockModule, Locked } from 'nestjs-distributed-lock';
import { LockMetricsModule } from 'nestjs-distributed-lock/prometheus';
import { redis } from 'nestjs-distributed-lock/redis';
import { register } from 'prom-client';

const [, , url = ''] = process.argv;
const say = (word: string): void => void process.send?.(word);

@Injectable()
class Jobs {
  @Locked('tick', { onBusy: 'skip' })
  async tick(): Promise<string | undefined> {
    say('running');
    // Until every other process has found it busy.
    await once(process, 'message');
    return 'ran';
  }
}

@Module({
  imports: [DistributedLockModule.forRoot({ backend: redis({ url }) }), LockMetricsModule.forRoot()],
  providers: [Jobs],
})
class App {}

const app = await NestFactory.createApplicationContext(App, { logger: ['error', 'warn'] });
const jobs = app.get(Jobs);
say('ready');
for (;;) {
  const [word] = (await once(process, 'message')) as [string];
  if (word === 'end') break;
  say((await jobs.tick()) ?? 'skipped');
}
await app.close();
process.send?.(await register.metrics(), () => process.disconnect());
