import { Injectable } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, LockBackendError, Locked, LockService } from 'nestjs-distributed-lock';
import { LockMetricsModule } from 'nestjs-distributed-lock/prometheus';
import { redis } from 'nestjs-distributed-lock/redis';
import { LockHealthIndicator } from 'nestjs-distributed-lock/terminus';
import { Registry } from 'prom-client';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { RecordingLogger } from '../nest/support/application.js';
import { type RedisServer, startRedis } from '../servers/redis.js';

@Injectable()
class Orders {
  @Locked('order:<id>')
  async place(id: string): Promise<string> {
    return id;
  }
}

let server: RedisServer;
let admin: Redis;
beforeAll(async () => {
  server = await startRedis({ own: true });
  admin = new Redis(server.url);
  await admin.call('ACL', 'SETUSER', 'watched', 'on', '>hush-hush', '~*', '&*', '+@all');
  await admin.call('ACL', 'SETUSER', 'reader', 'on', '>hush-hush', '~*', '&*', '+@all', '-evalsha', '-eval');
});
afterAll(async () => {
  server.resume();
  admin.disconnect();
  await server.stop();
});

const as = (user: string) => server.url.replace('://', `://${user}:hush-hush@`);

async function start(user = 'watched') {
  const logger = new RecordingLogger();
  const registry = new Registry();
  const module = await Test.createTestingModule({
    imports: [
      TerminusModule,
      DistributedLockModule.forRoot({ backend: redis({ url: as(user) }), shutdownGrace: 0 }),
      LockMetricsModule.forRoot({ registry }),
    ],
    providers: [Orders, LockHealthIndicator],
  })
    .setLogger(logger)
    .compile();
  onTestFinished(() => module.close());
  await module.init();
  return { module, logger, registry };
}

describe('monitoring on a real Redis', () => {
  it('counts, answers and logs, and nothing of it has the password', async () => {
    const { module, logger, registry } = await start();
    await module.get(Orders).place('7');
    const metrics = await registry.metrics();
    expect(metrics).toContain('lock_acquisitions_total{name="order:<id>",backend="default",outcome="acquired"} 1');
    expect(metrics).toContain('lock_backend_up{backend="default"} 1');
    const health = await module.get(LockHealthIndicator).isHealthy('locks');
    expect(health).toEqual({ locks: { status: 'up' } });
    const line = logger.texts('log').find((text) => text.includes('Locks on redis at'));
    expect(line).toContain('1 locked method');
    expect(JSON.stringify([metrics, health, logger.entries])).not.toMatch(/hush-hush|order:7/);
  });

  it('an account without the rights that locks need does not boot', async () => {
    await expect(start('reader')).rejects.toThrow(LockBackendError);
    await expect(start('reader')).rejects.toThrow(/NOPERM/);
  });

  it('on a frozen server health and a scrape answer within their timeouts, and the log tells of it and of its return', async () => {
    const { module, logger, registry } = await start();
    const locks = module.get(LockService);
    const lock = await locks.acquire('order:8', { ttl: '2s' });
    server.pause();
    try {
      const askedAt = performance.now();
      const health = await module.get(LockHealthIndicator).isHealthy('locks', { timeout: 300 });
      expect(performance.now() - askedAt).toBeLessThan(1_000);
      expect(health).toEqual({
        locks: { status: 'down', message: expect.stringMatching(/^no answer within \d+ ms$/) },
      });
      expect(await registry.metrics()).toContain('lock_backend_up{backend="default"} 0');
      await vi.waitUntil(() => logger.texts('error').some((text) => text.includes('went away')), { timeout: 10_000 });
      expect(lock.held).toBe(false);
    } finally {
      server.resume();
    }
    await vi.waitUntil(() => logger.texts('log').some((text) => text.includes('is back after')), { timeout: 10_000 });
    await lock.release();
    expect(await module.get(LockHealthIndicator).isHealthy('locks')).toEqual({ locks: { status: 'up' } });
    expect(logger.texts('warn').filter((text) => text.includes('was lost after'))).toHaveLength(1);
    expect(logger.texts('error').filter((text) => text.includes('went away'))).toHaveLength(1);
    expect(await registry.metrics()).toMatch(
      /lock_losses_total\{name="unnamed",backend="default",reason="(expired|taken)"\} 1/,
    );
  });
});
