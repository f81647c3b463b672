import { Controller, Get } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  DistributedLockModule,
  LockBackendError,
  LockClosedError,
  LockConfigurationError,
  LockError,
  LockExceptionFilter,
  LockKeyError,
  LockLostError,
  LockService,
  LockTimeoutError,
  memory,
} from 'nestjs-distributed-lock';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hideStatusCode } from '../../lib/lock/errors.js';
import { RecordingLogger } from './support/application.js';

const SECRET = 'order:secret on redis-17.internal';

@Controller()
class Failing {
  constructor(private readonly locks: LockService) {}

  @Get('busy')
  async busy() {
    await this.locks.acquire(SECRET, { wait: 0 });
  }
  @Get('lost')
  lost() {
    throw new LockLostError(SECRET);
  }
  @Get('backend')
  backend() {
    throw new LockBackendError(SECRET);
  }
  @Get('closed')
  closed() {
    throw new LockClosedError(SECRET);
  }
  @Get('configuration')
  configuration() {
    throw new LockConfigurationError(SECRET);
  }
  @Get('key')
  key() {
    throw new LockKeyError(SECRET);
  }
  @Get('other')
  other() {
    throw new Error(SECRET);
  }
}

describe.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])('on %s', (_name, adapter) => {
  async function start(filter: boolean) {
    const logger = new RecordingLogger();
    const module = await Test.createTestingModule({
      imports: [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0 })],
      controllers: [Failing],
      providers: filter ? [{ provide: APP_FILTER, useClass: LockExceptionFilter }] : [],
    })
      .setLogger(logger)
      .compile();
    const app = module.createNestApplication(adapter());
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    await app.get(LockService).acquire(SECRET);
    const url = await app.getUrl();
    return { logger, get: (path: string) => fetch(`${url}/${path}`) };
  }

  test.each([
    ['busy', 423],
    ['lost', 409],
    ['backend', 503],
    ['closed', 503],
    ['configuration', 500],
    ['key', 500],
  ])('a lock error (%s) answers %i without any set-up', async (path, status) => {
    const { get } = await start(false);
    const response = await get(path);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ statusCode: status });
  });

  test.each([
    ['busy', 423, 'LOCK_TIMEOUT', '1', 'debug'],
    ['lost', 409, 'LOCK_LOST', null, 'warn'],
    ['backend', 503, 'LOCK_BACKEND', '1', 'error'],
    ['closed', 503, 'LOCK_CLOSED', '1', 'error'],
    ['configuration', 500, 'LOCK_CONFIG', null, 'error'],
    ['key', 500, 'LOCK_KEY', null, 'error'],
  ] as const)(
    'LockExceptionFilter answers %s with %i %s, and keeps what is inside for the log',
    async (path, status, code, retryAfter, level) => {
      const { get, logger } = await start(true);
      const response = await get(path);
      expect([response.status, response.headers.get('retry-after')]).toEqual([status, retryAfter]);
      const body = await response.text();
      expect(JSON.parse(body)).toEqual({ statusCode: status, code, message: expect.any(String) });
      expect(body).not.toContain('secret');
      expect(logger.texts(level).join()).toContain(SECRET);
    },
  );

  test('LockExceptionFilter leaves other errors alone', async () => {
    const { get } = await start(true);
    const response = await get('other');
    expect([response.status, await response.json()]).toEqual([
      500,
      { statusCode: 500, message: 'Internal server error' },
    ]);
  });
});

test('every lock error is a LockError with a code and the status that Nest reads', () => {
  const errors = [LockLostError, LockBackendError, LockClosedError, LockConfigurationError, LockKeyError].map(
    (Type) => new Type('x'),
  );
  expect(errors.every((error) => error instanceof LockError && error instanceof Error)).toBe(true);
  expect(errors.map(({ code }) => code)).toEqual([
    'LOCK_LOST',
    'LOCK_BACKEND',
    'LOCK_CLOSED',
    'LOCK_CONFIG',
    'LOCK_KEY',
  ]);
  expect(errors.map(({ status, statusCode }) => status === statusCode)).not.toContain(false);
});

test('a Nest whose own filter sends the message of every error with a `statusCode` gets none', () => {
  hideStatusCode();
  const hidden = new LockTimeoutError(SECRET, { waitedMs: 0 });
  hideStatusCode(false);
  // As in Nest 11.0.
  const isHttpError = (error: { statusCode?: number | undefined; message?: string }) =>
    Boolean(error.statusCode && error.message);
  expect([hidden, new LockTimeoutError(SECRET, { waitedMs: 0 })].map(isHttpError)).toEqual([false, true]);
  expect(hidden.status).toBe(423);
});
