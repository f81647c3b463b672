import { describe, expect, it } from 'vitest';
import type { Traits } from '../../lib/backends/backend.js';
import { memory, memoryTraits } from '../../lib/backends/memory/index.js';
import { LockEngine } from '../../lib/engine/engine.js';
import { LockConfigurationError } from '../../lib/lock/errors.js';
import type { AcquireOptions } from '../../lib/lock/lock.js';
import { resolveOptions } from '../../lib/engine/options/options.js';

const plain: Traits = { ...memoryTraits, fifo: false, modes: ['exclusive'], semaphores: false, minTtl: 1_000 };

const resolved = (options: AcquireOptions, traits: Traits = memoryTraits) => resolveOptions(options, traits, 'redis');

describe('options', () => {
  it('have their documented defaults', () => {
    expect(resolved({})).toMatchObject({
      wait: 10_000,
      ttl: 15_000,
      renew: true,
      maxHold: Infinity,
      minHold: 0,
      mode: 'exclusive',
      limit: 1,
      signal: undefined,
    });
  });

  it('are in milliseconds when they have been read', () => {
    expect(resolved({ wait: '1m', ttl: '30s', minHold: '1s', maxHold: '1h' })).toMatchObject({
      wait: 60_000,
      ttl: 30_000,
      minHold: 1_000,
      maxHold: 3_600_000,
    });
  });

  it('undefined is the default, wherever it comes from', () => {
    const unset = { wait: undefined, ttl: undefined, mode: undefined, limit: undefined } as unknown as AcquireOptions;
    expect(resolved(unset)).toEqual(resolved({}));
  });

  it('a pushed grant is claimed for three seconds at most, unless nobody would renew it', () => {
    expect(resolved({ ttl: '15s' }).claimTtl).toBe(3_000);
    expect(resolved({ ttl: '1s' }).claimTtl).toBe(1_000);
    expect(resolved({ ttl: '15s', renew: false }).claimTtl).toBe(15_000);
  });

  it.each<[name: string, options: unknown, traits: Traits, message: string | RegExp]>([
    [
      'a lease that the backend cannot keep',
      { ttl: 500 },
      plain,
      /^`ttl` is 500 ms, but redis keeps no lease shorter than 1000 ms\. Give at least that/,
    ],
    [
      'a key that the backend cannot keep closed',
      { minHold: 500 },
      { ...plain, minHold: false },
      /^`minHold` needs a backend that keeps a key closed after its release, and redis does not\./,
    ],
    [
      'a lease that no timer can wait for',
      { ttl: '25d' },
      memoryTraits,
      /^`ttl` is 2160000000 ms, and a lease may last 24 days at most\. Give how long a dead holder may block the others/,
    ],
    [
      'a mode that there is not',
      { mode: 'write' },
      memoryTraits,
      /^`mode` is "write"; it is 'exclusive' or 'shared'\.$/,
    ],
    ['a mode that the backend has not', { mode: 'shared' }, plain, /^redis has no shared locks\./],
    [
      'a limit of none',
      { limit: 0 },
      memoryTraits,
      /^`limit` is 0; it is how many may hold the key together, a whole number from 1 up\.$/,
    ],
    ['half a permit', { limit: 1.5 }, memoryTraits, /^`limit` is 1\.5;/],
    ['a limit that is no number', { limit: '5' }, memoryTraits, /^`limit` is "5";/],
    ['a watch-dog between on and off', { renew: 'false' }, memoryTraits, /^`renew` is "false"; it is true or false\.$/],
    ['an order between strict and not', { fair: 'no' }, memoryTraits, /^`fair` is "no"; it is true or false\.$/],
    [
      'a controller for its signal',
      { signal: new AbortController() },
      memoryTraits,
      /^`signal` is not an AbortSignal\. Give the `signal` of/,
    ],
    ['a semaphore where there is none', { limit: 2 }, plain, /^redis has no semaphores/],
    ['a shared semaphore', { limit: 2, mode: 'shared' }, memoryTraits, /do not go together/],
    [
      'strict order without a line',
      { fair: true },
      plain,
      /^`fair: true` needs a backend that keeps a line of waiters, and redis does not\./,
    ],
    [
      'a lock that could never be held',
      { maxHold: 0 },
      memoryTraits,
      /^`maxHold` is 0, so the lock could never be held\./,
    ],
    [
      'a shortest hold beyond the longest',
      { minHold: 200, maxHold: 100 },
      memoryTraits,
      '`minHold` (200 ms) is longer than `maxHold` (100 ms).',
    ],
    ['a wait that is no duration', { wait: 'long' }, memoryTraits, /^`wait` is "long", which is not a duration/],
    ['an endless lease', { ttl: Infinity }, memoryTraits, /^`ttl` is Infinity, which is not a duration/],
    ['an endless shortest hold', { minHold: Infinity }, memoryTraits, /^`minHold` is Infinity/],
  ])('refuses %s', (_, options, traits, message) => {
    expect(() => resolved(options as AcquireOptions, traits)).toThrow(LockConfigurationError);
    expect(() => resolved(options as AcquireOptions, traits)).toThrow(message);
  });

  it.each<[name: string, options: unknown, message: RegExp]>([
    ['a misspelt one', { waitt: '5s' }, /^`waitt` is not an option of a lock\. Known: `wait`, `ttl`, .*`reentrant`\.$/],
    ['one of the decorator', { onBusy: 'skip' }, /^`onBusy` is not an option of a lock\./],
    ['a number in their place', 5_000, /^The options of a lock are an object; this is 5000\.$/],
    ['a string in their place', '5s', /^The options of a lock are an object; this is a string\.$/],
  ])('refuses %s, wherever a lock is asked for', async (_, options, message) => {
    const given = options as AcquireOptions;
    const engine = new LockEngine(memory());
    expect(() => engine.validate(given)).toThrow(message);
    await expect(engine.acquire('k', given)).rejects.toThrow(message);
    await engine.close(0);
  });

  it.each<[name: string, options: unknown, message: RegExp]>([
    [
      'a misspelt one',
      { waitt: '5s' },
      /^`waitt` is not an option of `defaults`\. Known: `wait`, `ttl`, .*`fair`, `name`, `onShutdown`\.$/,
    ],
    ['one of the decorator', { onBusy: 'skip' }, /^`onBusy` is not an option of `defaults`\./],
    ['the signal of one call', { signal: AbortSignal.timeout(1) }, /^`signal` is not an option of `defaults`\./],
    ['one of work under a lock', { reentrant: false }, /^`reentrant` is not an option of `defaults`\./],
    ['a number in their place', 5_000, /^The options of `defaults` are an object; this is 5000\.$/],
    ['a string in their place', '5s', /^The options of `defaults` are an object; this is a string\.$/],
    ['one that could never work', { ttl: 1 }, /^`ttl` is 1 ms, but memory keeps no lease shorter than/],
  ])('refuses %s as a default for all locks', (_, defaults, message) => {
    expect(() => new LockEngine(memory(), { defaults: defaults as AcquireOptions })).toThrow(message);
  });

  it('one that is undefined leaves the default of the engine in force', async () => {
    const engine = new LockEngine(memory(), { defaults: { wait: 0 } });
    const lock = await engine.acquire('k');
    const asked = engine.acquire('k', { wait: undefined } as unknown as AcquireOptions);
    await expect(asked).rejects.toThrow(/'k'/);
    await expect(asked).rejects.toMatchObject({ waitedMs: expect.toSatisfy((ms: number) => ms < 5_000) });
    await lock.release();
    await engine.close(0);
  });

  it('takes what only looks alike', () => {
    expect(() => resolved({ fair: true })).not.toThrow();
    expect(() => resolved({ fair: false }, plain)).not.toThrow();
    expect(() => resolved({ wait: 0 })).not.toThrow();
    expect(() => resolved({ wait: Infinity, maxHold: Infinity })).not.toThrow();
    expect(() => resolved({ minHold: 100, maxHold: 100 })).not.toThrow();
  });
});
