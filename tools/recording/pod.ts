/** One pod of the recording: it places order 7 under a lock, and says what happens. */
import 'reflect-metadata';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { currentLock, DistributedLockModule, Locked, LockService } from 'nestjs-distributed-lock';
import { redis } from 'nestjs-distributed-lock/redis';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

@Injectable()
class Orders {
  @Locked('order:<id>', { wait: Infinity, ttl: '5s' })
  async place(id: string): Promise<void> {
    say(`order:${id} is mine, token ${currentLock()?.fencingToken}`);
    for (let step = 1; step <= 4; step++) {
      await sleep(1_000);
      say(`step ${step} of 4 is done`);
    }
  }
}

@Module({
  imports: [
    DistributedLockModule.forRoot({ backend: redis({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' }) }),
  ],
  providers: [Orders],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
app.enableShutdownHooks();
app.get(LockService).events$.subscribe(({ type, key }) => {
  if (type === 'waiting') say(`${key} is busy: waiting in line`);
});
say('ready');
await once(process.stdin, 'data');
await app.get(Orders).place('7');
say('released');
await app.close();
process.stdin.destroy();
