import type { LockMode, Traits } from '../../backends/backend.js';
import { type Duration, toMilliseconds } from '../../lock/duration.js';
import { LockConfigurationError } from '../../lock/errors.js';
import type { AcquireOptions } from '../../lock/lock.js';
import { LABELS, type Labelled } from '../../lock/labels.js';
import { checkOptionNames } from '../../lock/option-names.js';

/** Acquire options with every default filled in, in milliseconds. */
export interface ResolvedOptions {
  readonly wait: number;
  readonly ttl: number;
  readonly claimTtl: number;
  readonly renew: boolean;
  readonly maxHold: number;
  readonly minHold: number;
  readonly mode: LockMode;
  readonly limit: number;
  readonly fair: boolean;
  readonly signal: AbortSignal | undefined;
  readonly name: string | undefined;
  readonly method: string | undefined;
  readonly onBusy: OnBusy;
  readonly onShutdown: OnShutdown;
}

/** Whether the shutdown tells the work when it begins, or when the work's time is over. */
export type OnShutdown = NonNullable<AcquireOptions['onShutdown']>;

/** How a busy key is reported. */
export type OnBusy = 'timeout' | 'skipped' | 'shutdown';

export const DEFAULTS = { wait: 10_000, ttl: 15_000, renew: true, minHold: 0, mode: 'exclusive', limit: 1 } as const;

/** An option of all locks. `signal` is not one: the signal of one call would end the waits of all calls. */
const DEFAULT_NAMES: ReadonlySet<string> = new Set([
  'wait',
  'ttl',
  'renew',
  'maxHold',
  'minHold',
  'mode',
  'limit',
  'fair',
  'name',
  'onShutdown',
]);
/** Of `AcquireOptions`. */
const NAMES: ReadonlySet<string> = new Set([...DEFAULT_NAMES, 'signal']);
/** Of those of work under a lock. */
const NAMES_WITH_WORK: ReadonlySet<string> = new Set([...NAMES, 'profile', 'reentrant']);
/** The options that are read, and the labels that a decorator adds. */
const READ: readonly (string | symbol)[] = [...NAMES, LABELS];

/** @throws LockConfigurationError for an option that does not exist for all locks */
export function checkDefaultNames(defaults: AcquireOptions, owner = '`defaults`'): void {
  checkOptionNames(owner, defaults, DEFAULT_NAMES);
}

/**
 * Fills in the defaults where a call sets nothing; `undefined` counts as nothing.
 * @throws LockConfigurationError for an option that a lock does not have
 */
export function withDefaults(options: AcquireOptions, defaults: AcquireOptions): AcquireOptions & Labelled {
  checkOptionNames('a lock', options, NAMES_WITH_WORK);
  const all: Record<string | symbol, unknown> = { ...defaults };
  // Read the options by name, so that inherited ones count as well.
  for (const name of READ) {
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined) all[name] = value;
  }
  return all;
}

/** The lease of a pushed grant. It bounds how long a waiter that froze blocks those behind it. */
const CLAIM_TTL_MS = 3_000;

/** The longest delay of a timer in Node. Servers have limits too. */
const LONGEST_TTL_MS = 2 ** 31 - 1;

/**
 * Fills in the defaults and checks everything that needs no server.
 * @throws LockConfigurationError that names the option, the value and what would work
 */
export function resolveOptions(options: AcquireOptions & Labelled, traits: Traits, kind: string): ResolvedOptions {
  const ttl = toMilliseconds('ttl', options.ttl ?? DEFAULTS.ttl);
  const wait = toMilliseconds('wait', options.wait ?? DEFAULTS.wait, true);
  const minHold = toMilliseconds('minHold', options.minHold ?? DEFAULTS.minHold);
  const maxHold = options.maxHold === undefined ? Infinity : toMilliseconds('maxHold', options.maxHold, true);
  const {
    renew = DEFAULTS.renew,
    mode = DEFAULTS.mode,
    limit = DEFAULTS.limit,
    fair,
    signal,
    name,
    onShutdown = 'finish',
  } = options;
  const labels = options[LABELS];

  if (ttl < traits.minTtl) {
    fail(
      `\`ttl\` is ${ttl} ms, but ${kind} keeps no lease shorter than ${traits.minTtl} ms. Give at least that; 15 s is the default.`,
    );
  }
  if (traits.maxTtl !== undefined && ttl > traits.maxTtl) {
    fail(
      `\`ttl\` is ${ttl} ms, but ${kind} gives no lease longer than ${traits.maxTtl} ms. Give a shorter one, which the watch-dog renews, or raise that limit in the backend's options.`,
    );
  }
  if (ttl > LONGEST_TTL_MS) {
    fail(
      `\`ttl\` is ${ttl} ms, and a lease may last 24 days at most. Give how long a dead holder may block the others; the watch-dog renews it for as long as it is held.`,
    );
  }
  if (mode !== 'exclusive' && mode !== 'shared')
    fail(`\`mode\` is ${JSON.stringify(mode)}; it is 'exclusive' or 'shared'.`);
  if (!traits.modes.includes(mode)) fail(`${kind} has no ${mode} locks. Take an exclusive one, or another backend.`);
  if (!Number.isSafeInteger(limit) || limit < 1) {
    fail(
      `\`limit\` is ${typeof limit === 'string' ? JSON.stringify(limit) : String(limit)}; it is how many may hold the key together, a whole number from 1 up.`,
    );
  }
  if (limit > 1 && !traits.semaphores)
    fail(`${kind} has no semaphores (\`limit\` above 1). Take another backend for this key.`);
  if (limit > 1 && mode === 'shared') {
    fail(
      "`mode: 'shared'` and `limit` do not go together: a shared lock has no limit, and holders of a semaphore are all alike.",
    );
  }
  if (fair === true && !traits.fifo) {
    fail(
      `\`fair: true\` needs a backend that keeps a line of waiters, and ${kind} does not. Leave it out, or take another backend.`,
    );
  }
  if (minHold > 0 && traits.minHold === false) {
    fail(
      `\`minHold\` needs a backend that keeps a key closed after its release, and ${kind} does not. Leave it out, or take another backend.`,
    );
  }
  if (typeof renew !== 'boolean') fail(`\`renew\` is ${JSON.stringify(renew)}; it is true or false.`);
  if (fair !== undefined && typeof fair !== 'boolean') {
    fail(`\`fair\` is ${JSON.stringify(fair)}; it is true or false.`);
  }
  if (signal !== undefined && typeof signal.throwIfAborted !== 'function') {
    fail('`signal` is not an AbortSignal. Give the `signal` of an AbortController, or `AbortSignal.timeout(…)`.');
  }
  if (name !== undefined && (typeof name !== 'string' || name === '')) {
    fail('`name` is what the lock is for, a text such as `order:<id>`. Leave it out, or give one.');
  }
  if (onShutdown !== 'finish' && onShutdown !== 'abort') {
    fail(`\`onShutdown\` is ${JSON.stringify(onShutdown)}; it is 'finish' or 'abort'.`);
  }
  if (maxHold <= 0) fail('`maxHold` is 0, so the lock could never be held. Give the longest time the work may take.');
  if (minHold > maxHold) fail(`\`minHold\` (${minHold} ms) is longer than \`maxHold\` (${maxHold} ms).`);
  return {
    wait,
    ttl,
    claimTtl: renew ? Math.min(ttl, CLAIM_TTL_MS) : ttl,
    renew,
    maxHold,
    minHold,
    mode,
    limit,
    fair: fair ?? true,
    signal,
    name: name ?? labels?.name,
    method: labels?.method,
    onBusy: labels?.skips === true ? 'skipped' : 'timeout',
    onShutdown,
  };
}

/** Checks the ttl of `Lock.extend` like the option. */
export function resolveTtl(ttl: Duration, traits: Traits, kind: string): number {
  return resolveOptions({ ttl }, traits, kind).ttl;
}

function fail(message: string): never {
  throw new LockConfigurationError(message);
}
