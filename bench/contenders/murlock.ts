import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { importPeer } from '../peers/install.js';
import { type Contender, LEASE_MS, type Locker, TUNED_POLL_MS } from './contender.js';
import { entered } from './redlock.js';

interface MurLock {
  readonly MurLockModule: { forRoot(options: object): never };
  readonly MurLockService: new (...args: never[]) => {
    runWithLock(key: string, ttl: number, work: () => Promise<void>): Promise<void>;
  };
}

@Module({})
class Application {}

async function open(port: number, settings: { wait: number; maxAttempts: number }): Promise<Locker> {
  const { MurLockModule, MurLockService } = await importPeer<MurLock>('murlock');
  // Its `none` logs everything.
  const options = {
    redisOptions: { url: `redis://127.0.0.1:${port}` },
    logLevel: 'error',
    ignoreUnlockFail: false,
    ...settings,
  };
  const app = await NestFactory.createApplicationContext(
    { module: Application, imports: [MurLockModule.forRoot(options)] },
    { logger: false },
  );
  const service = app.get(MurLockService);
  return {
    acquire: (key) => entered((work) => service.runWithLock(key, LEASE_MS, work)),
    close: () => app.close(),
  };
}

const common = { kind: 'peer', waits: 'polls', sends: { eval: 1, evalsha: 1 } } as const;

export const murlock: readonly Contender[] = [
  {
    ...common,
    name: 'murlock',
    about: "its README's settings: 3 attempts, 1 and 2 s apart",
    open: (port) => open(port, { wait: 1000, maxAttempts: 3 }),
  },
  {
    ...common,
    name: 'murlock, tuned',
    // Its pause grows with the attempts unless it is given as a function or in each call.
    about: `pauses of ${TUNED_POLL_MS} ms × attempt, for ever`,
    tuned: true,
    open: (port) => open(port, { wait: TUNED_POLL_MS, maxAttempts: 1_000_000 }),
  },
];
