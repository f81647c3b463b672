import { Logger } from '@nestjs/common';
import type { LockBackend } from '../backends/backend.js';
import { memory } from '../backends/memory/index.js';
import { toMilliseconds } from '../lock/duration.js';
import { LockConfigurationError } from '../lock/errors.js';
import type { LockInstrumentation } from '../lock/instrumentation.js';
import { checkOptionNames, inShort } from '../lock/option-names.js';
import type { DistributedLockOptions } from './distributed-lock.options.js';
import { type LockLogOptions, logParts } from './log/lock-log.options.js';
import { DEFAULT_BACKEND } from './service/lock.tokens.js';

/** Module options, checked and with defaults filled in. */
export interface LockBackends {
  readonly backends: ReadonlyMap<string, LockBackend>;
  /** `undefined` when another `forRoot` has the default backend. */
  readonly defaultName: string | undefined;
  readonly checkAtBoot: boolean;
  readonly shutdownGraceMs: number;
  readonly instrumentations: readonly LockInstrumentation[];
  readonly log: Required<LockLogOptions>;
}

const NAMES: ReadonlySet<string> = new Set([
  'backend',
  'backends',
  'default',
  'prefix',
  'defaults',
  'checkAtBoot',
  'shutdownGrace',
  'onShutdown',
  'profiles',
  'instrumentation',
  'log',
  // Read before the factory of `forRootAsync` runs, beside which it stands.
  'isGlobal',
]);

/**
 * @param names what was promised outside the factory, for which providers exist
 * @throws LockConfigurationError
 */
export function lockBackends(
  options: DistributedLockOptions,
  names: readonly string[],
  hasDefault: boolean,
): LockBackends {
  checkOptionNames('DistributedLockModule', options, NAMES);
  const backends = backendsOf(options);
  compareNames([...backends.keys()], names);
  for (const [name, backend] of backends) checkBackend(name, backend);
  return {
    backends,
    defaultName: hasDefault ? defaultName(options, [...backends.keys()]) : undefined,
    checkAtBoot: options.checkAtBoot ?? true,
    shutdownGraceMs: toMilliseconds('shutdownGrace', options.shutdownGrace ?? '10s'),
    instrumentations: instrumentationsOf(options.instrumentation),
    log: logParts(options.log),
  };
}

function instrumentationsOf(given: DistributedLockOptions['instrumentation'] = []): readonly LockInstrumentation[] {
  const all: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (!all.every((each) => typeof each === 'object' && each !== null && 'onCall' in each)) {
    throw new LockConfigurationError(
      '`instrumentation` of DistributedLockModule is what follows locks, such as `otel()`, or a list of such.',
    );
  }
  // Just checked.
  return all as readonly LockInstrumentation[];
}

/** The names that options without a factory bring along. */
export function namesIn(options: DistributedLockOptions): readonly string[] {
  return options.backends === undefined ? [DEFAULT_BACKEND] : Object.keys(options.backends);
}

function backendsOf(options: DistributedLockOptions): ReadonlyMap<string, LockBackend> {
  // The types leave no room for both, plain JavaScript does.
  const { backend, backends }: { backend?: LockBackend; backends?: Readonly<Record<string, LockBackend>> } = options;
  if (backend !== undefined && backends !== undefined) {
    throw new LockConfigurationError('DistributedLockModule takes `backend` or `backends`, not both.');
  }
  if (backends !== undefined) return new Map(Object.entries(backends));
  if (backend !== undefined) return new Map([[DEFAULT_BACKEND, backend]]);
  if ('backend' in options) {
    throw new LockConfigurationError(
      '`backend` of DistributedLockModule is undefined. Leave it out for locks that end with the process, or give one such as `redis({ url })`.',
    );
  }
  if (process.env['NODE_ENV'] === 'production') {
    throw new LockConfigurationError(
      'DistributedLockModule has no `backend`, and locks in memory hold nobody back in another process: refused with NODE_ENV=production. ' +
        'Give a backend such as `redis({ url })`, or `memory()` by name if this service really runs as one process.',
    );
  }
  new Logger('DistributedLockModule').log(
    'No `backend` given: locks live in memory and end at this process. Give one such as redis({ url }) to hold back other processes.',
  );
  return new Map([[DEFAULT_BACKEND, memory()]]);
}

function compareNames(actual: readonly string[], promised: readonly string[]): void {
  const twice = promised.find((name, at) => promised.indexOf(name) !== at);
  if (twice !== undefined) throw new LockConfigurationError(`\`names\` of DistributedLockModule has "${twice}" twice.`);
  if (actual.length === 0) throw new LockConfigurationError('`backends` of DistributedLockModule is empty.');

  const missing = promised.filter((name) => !actual.includes(name));
  const unknown = actual.filter((name) => !promised.includes(name));
  if (missing.length === 0 && unknown.length === 0) return;
  throw new LockConfigurationError(
    `DistributedLockModule.forRootAsync() was promised the backends ${quoted(promised)} by \`names\`, but its factory gave ${quoted(actual)}. ` +
      'Injection tokens are made from `names` before the factory runs, so both must say the same.',
  );
}

/** @throws LockConfigurationError when it is not a backend, but a client or a promise of one */
export function checkBackend(name: string, backend: unknown): void {
  if (typeof backend === 'object' && backend !== null && 'family' in backend && 'traits' in backend) return;
  throw new LockConfigurationError(
    `The lock backend "${name}" is not one: ${describe(backend)}. Give what a backend's function makes, such as \`redis({ client })\`.`,
    { backend: name },
  );
}

function defaultName(options: DistributedLockOptions, names: readonly string[]): string {
  const wanted = options.default;
  if (names.includes(DEFAULT_BACKEND) && wanted !== undefined && wanted !== DEFAULT_BACKEND) {
    throw new LockConfigurationError(
      'A backend named "default" is the default backend. Give it another name, or leave `default` out.',
    );
  }
  if (typeof wanted === 'string') {
    if (names.includes(wanted)) return wanted;
    throw new LockConfigurationError(
      `\`default\` of DistributedLockModule is "${wanted}", but its backends are ${quoted(names)}.`,
      { backend: wanted },
    );
  }
  const [first, second] = names;
  if (first !== undefined && second === undefined) return first;
  if (names.includes(DEFAULT_BACKEND)) return DEFAULT_BACKEND;
  throw new LockConfigurationError(
    `DistributedLockModule has the backends ${quoted(names)}; say which of them is the default, such as \`default: '${first ?? ''}'\`.`,
  );
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}

function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return inShort(value);
  return value instanceof Promise
    ? 'a promise (use forRootAsync)'
    : `an instance of ${value.constructor?.name ?? 'nothing'}`;
}
