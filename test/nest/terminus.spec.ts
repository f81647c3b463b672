import { Controller, Get, Injectable } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ExpressAdapter } from '@nestjs/platform-express';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { DistributedLockModule, type LockBackend, LockConfigurationError, memory } from 'nestjs-distributed-lock';
import { LockHealthIndicator } from 'nestjs-distributed-lock/terminus';
import { describe, expect, it, onTestFinished } from 'vitest';
import { applicationWith, RecordingLogger } from './support/application.js';

@Controller()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly locks: LockHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check() {
    return this.health.check([() => this.locks.isHealthy('locks', { timeout: 200 })]);
  }
}

@Injectable()
class Server {
  failure: Error | undefined;
  frozen = false;

  readonly backend: LockBackend = withFailures(this);
}

/** Locks in memory that refuse, or say nothing, when they are told to. */
function withFailures(server: Server): LockBackend {
  const table = memory();
  return new Proxy(table, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (name !== 'attempt' || typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        if (server.frozen) return new Promise(() => undefined);
        if (server.failure) throw server.failure;
        return Reflect.apply(member, target, args) as unknown;
      };
    },
  });
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
] as const)('LockHealthIndicator on %s', (_, adapter) => {
  async function start() {
    const server = new Server();
    const logger = new RecordingLogger();
    const module = await Test.createTestingModule({
      imports: [TerminusModule, DistributedLockModule.forRoot({ backend: server.backend, shutdownGrace: 0 })],
      controllers: [HealthController],
      providers: [LockHealthIndicator],
    })
      .setLogger(logger)
      .compile();
    const app = module.createNestApplication(adapter());
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    return { server, logger, ask: () => fetch(`${url}/health`) };
  }

  it('is up while locks can be taken', async () => {
    const { ask } = await start();
    const answer = await ask();
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ status: 'ok', info: { locks: { status: 'up' } } });
  });

  it('is down where the account may not lock, and tells the client no host and the log everything, once', async () => {
    const { server, logger, ask } = await start();
    server.failure = new Error("NOPERM User app at 10.1.2.3:6379 has no permissions to run 'evalsha'");
    for (let i = 0; i < 2; i++) {
      const answer = await ask();
      expect(answer.status).toBe(503);
      const body = await answer.text();
      expect(body).toContain('NOPERM');
      expect(body).not.toContain('10.1.2.3');
      expect(body).not.toContain('ping');
    }
    expect(logger.texts('warn').filter((text) => text.includes('10.1.2.3'))).toHaveLength(1);
    server.failure = undefined;
    expect((await ask()).status).toBe(200);
    expect(logger.texts('log').filter((text) => text.includes('works again'))).toHaveLength(1);
  });

  it('is down within its timeout when the server says nothing', async () => {
    const { server, ask } = await start();
    server.frozen = true;
    const answer = await ask();
    expect(answer.status).toBe(503);
    expect(await answer.text()).toMatch(/no answer within \d+ ms/);
  });
});

describe('LockHealthIndicator', () => {
  it('asks the backend that is named, and refuses a name that there is not', async () => {
    const app = await applicationWith({
      imports: [
        TerminusModule,
        DistributedLockModule.forRoot({ backends: { main: memory(), audit: memory() }, default: 'main' }),
      ],
      providers: [LockHealthIndicator],
    });
    const indicator = app.get(LockHealthIndicator);
    await expect(indicator.isHealthy('audit', { backend: 'audit' })).resolves.toEqual({ audit: { status: 'up' } });
    await expect(indicator.isHealthy('other', { backend: 'other' })).rejects.toThrow(LockConfigurationError);
  });

  it('is down while the application shuts down', async () => {
    const app = await applicationWith({ imports: [TerminusModule], providers: [LockHealthIndicator] });
    const indicator = app.get(LockHealthIndicator);
    await app.close();
    await expect(indicator.isHealthy('locks')).resolves.toEqual({
      locks: { status: 'down', message: 'the application is shutting down' },
    });
  });
});
