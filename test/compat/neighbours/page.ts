/** The page of locks, on Express and on Fastify, under a global prefix. */
import 'reflect-metadata';
import { type CanActivate, type ExecutionContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DistributedLockModule, LockService, memory } from 'nestjs-distributed-lock';
import { LockAdminModule } from 'nestjs-distributed-lock/admin';
import { Report } from './report.js';

class Operator implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: { authorization?: string } }>();
    return headers.authorization === 'operator';
  }
}

@Module({
  imports: [
    DistributedLockModule.forRoot({ backend: memory() }),
    LockAdminModule.forRoot({ path: 'ops/locks', guards: [Operator], allowForceRelease: true }),
  ],
})
class AppModule {}

void (async () => {
  const report = new Report();
  for (const onFastify of [false, true]) {
    const where = onFastify ? 'Fastify' : 'Express';
    const app = onFastify
      ? await NestFactory.create(AppModule, new FastifyAdapter({ forceCloseConnections: true }), { logger: ['error'] })
      : await NestFactory.create(AppModule, { logger: ['error'], forceCloseConnections: true });
    app.setGlobalPrefix('api');
    await app.listen(0, '127.0.0.1');
    const page = `${await app.getUrl()}/api/ops/locks`;
    const as = { headers: { authorization: 'operator' } };
    await app.get(LockService).acquire('order:7');

    report.expect(`a stranger on ${where}`, (await fetch(page)).status, 403);
    const html = await fetch(page, as);
    const text = await html.text();
    report.expect(`the page on ${where}`, [html.status, /<!doctype html>/i.test(text)], [200, true]);
    report.expect(
      `its policy on ${where}`,
      html.headers.get('content-security-policy')?.includes("default-src 'none'"),
      true,
    );
    const [, asset = ''] = /(?:src|href)="([^"]+\.(?:js|css)[^"]*)"/.exec(text) ?? [];
    report.expect(`a file of it on ${where}`, (await fetch(new URL(asset, page), as)).status, 200);
    const leaving = new AbortController();
    const events = await fetch(`${page}?events`, { ...as, signal: leaving.signal });
    report.expect(`its events on ${where}`, events.headers.get('content-type')?.startsWith('text/event-stream'), true);
    let told = '';
    const decoder = new TextDecoder();
    const reader = events.body?.getReader();
    while (reader !== undefined && !told.includes('order:7'))
      told += decoder.decode((await reader.read()).value, { stream: true });
    leaving.abort();
    await app.close();
  }
  report.end();
})();
