/** One process of `page.ts`: it holds the locks, or serves the page. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { importBuilt } from './built.js';
import type { PageMessage } from './page.js';

const [role, url = '', held = '0'] = process.argv.slice(2);
const say = (message: PageMessage) => process.send?.(message);
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  say({ cpu: user + system });
});

const { DistributedLockModule, LockService } = await importBuilt<typeof import('nestjs-distributed-lock')>('index.js');
const { redis } = await importBuilt<typeof import('nestjs-distributed-lock/redis')>('backends/redis/index.js');
const { LockAdminModule } = await importBuilt<typeof import('nestjs-distributed-lock/admin')>('admin/index.js');

@Module({})
class Application {}

const imports = [
  DistributedLockModule.forRoot({ backend: redis({ url }), defaults: { ttl: '30s' }, log: false }),
  ...(role === 'serve' ? [LockAdminModule.forRoot({ path: 'locks', guards: [] })] : []),
];
const app = await NestFactory.create({ module: Application, imports }, { logger: ['error', 'warn'] });
if (role === 'serve') {
  await app.listen(0, '127.0.0.1');
  say({ ready: `${await app.getUrl()}/locks` });
} else {
  await app.init();
  const locks = app.get(LockService);
  const numbers = Array.from({ length: Number(held) }, (_, n) => n);
  while (numbers.length > 0) await Promise.all(numbers.splice(0, 500).map((n) => locks.acquire(`order:${n}`)));
  say({ ready: '' });
}
