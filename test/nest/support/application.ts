import type { INestApplication, INestApplicationContext, LoggerService, ModuleMetadata, Type } from '@nestjs/common';
import { Test, type TestingModule, type TestingModuleBuilder } from '@nestjs/testing';
import { DistributedLockModule, type LockEvent, LockService, memory } from 'nestjs-distributed-lock';
import { filter, firstValueFrom } from 'rxjs';
import { onTestFinished } from 'vitest';

export interface LogEntry {
  readonly level: 'log' | 'error' | 'warn' | 'debug' | 'verbose' | 'fatal';
  readonly text: string;
}

/** Keeps what the application logs. */
export class RecordingLogger implements LoggerService {
  readonly entries: LogEntry[] = [];
  readonly log = (...message: unknown[]) => this.#note('log', message);
  readonly error = (...message: unknown[]) => this.#note('error', message);
  readonly warn = (...message: unknown[]) => this.#note('warn', message);
  readonly debug = (...message: unknown[]) => this.#note('debug', message);
  readonly verbose = (...message: unknown[]) => this.#note('verbose', message);
  readonly fatal = (...message: unknown[]) => this.#note('fatal', message);

  texts(level: LogEntry['level']): string[] {
    return this.entries.filter((entry) => entry.level === level).map(({ text }) => text);
  }

  #note(level: LogEntry['level'], message: unknown[]): void {
    this.entries.push({ level, text: message.map(String).join(' ') });
  }
}

export interface Application {
  readonly module: TestingModule;
  readonly logger: RecordingLogger;
  get<T>(token: (abstract new (...args: never[]) => T) | string | symbol): T;
  /** Shuts the application down, once (Nest 11 would run all hooks again); the end of the test does it otherwise. */
  close(): Promise<void>;
}

/** A Nest application with locks in memory (unless `imports` bring a lock module), started, and closed after the test. */
export async function applicationWith(
  parts: ModuleMetadata,
  change: (builder: TestingModuleBuilder) => TestingModuleBuilder = (builder) => builder,
): Promise<Application> {
  const { module, logger } = await compiled(parts, change);
  await module.init();
  return { module, logger, get: (token) => module.get(token as Type, { strict: false }), close: closing(module) };
}

/** As above, but serving HTTP on a free port; `prepare` runs before it starts. */
export async function serverWith(
  parts: ModuleMetadata,
  prepare: (app: INestApplication) => unknown = () => undefined,
): Promise<Application & { readonly app: INestApplication; readonly url: string }> {
  const { module, logger } = await compiled(parts, (builder) => builder);
  const app = module.createNestApplication();
  const close = closing(app);
  await prepare(app);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return { module, logger, app, url, close, get: (token) => app.get(token as Type, { strict: false }) };
}

function closing(application: INestApplicationContext): () => Promise<void> {
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= application.close());
  onTestFinished(close);
  return close;
}

async function compiled(parts: ModuleMetadata, change: (builder: TestingModuleBuilder) => TestingModuleBuilder) {
  const logger = new RecordingLogger();
  const imports = parts.imports ?? [];
  const hasLocks = imports.some((each) => 'module' in each && each.module === DistributedLockModule);
  const locks = hasLocks ? [] : [DistributedLockModule.forRoot({ backend: memory(), shutdownGrace: 0 })];
  const builder = Test.createTestingModule({ ...parts, imports: [...locks, ...imports] }).setLogger(logger);
  return { module: await change(builder).compile(), logger };
}

/** The next event of that kind on the default backend. Ask before what causes it. */
export function nextEvent(
  application: Pick<Application, 'get'>,
  type: LockEvent['type'],
  key?: string,
): Promise<LockEvent> {
  const { events$ } = application.get(LockService);
  return firstValueFrom(
    events$.pipe(filter((event) => event.type === type && (key === undefined || event.key === key))),
  );
}

/** Whether the key is held on the default backend. */
export async function isHeld(application: Pick<Application, 'get'>, key: string): Promise<boolean> {
  return (await application.get(LockService).inspect(key)).held;
}
