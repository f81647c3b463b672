import { strict as assert } from 'node:assert';
import { LockKeyError } from '../../../lock/errors.js';
import type { Case } from '../case.js';
import { within } from '../patience.js';
import { LONG } from '../stage.js';

/** Names that have broken lock libraries: by encoding, by quoting, by patterns, by folding, by length. Each is a lock of its own. */
const HOSTILE = [
  'plain',
  'Plain',
  'PLAIN',
  ' plain',
  'plain ',
  'two words',
  'tab\tand\nnewline\r\n',
  'nul\0byte',
  'nul\0Byte',
  '\0',
  'a/b/c',
  '/',
  '..',
  '../up',
  'a:b',
  ':',
  '~',
  'a~',
  '{}',
  '{',
  '}',
  '}first',
  '{tag}rest',
  '{tag}other',
  '{}empty tag',
  '%7B',
  '%',
  '%s%d%n',
  '100%',
  '*',
  'gl?b[a-z]*',
  'back\\slash',
  '\\u0000',
  `quo"te'd\``,
  '; DROP TABLE locks; --',
  '$1',
  '${name}',
  '<id>',
  'caf\u00e9',
  'cafe\u0301',
  '\u212b',
  '\u00c5',
  'ﬁ',
  'fi',
  'ss',
  'ß',
  '🔒',
  '👩‍👩‍👧‍👦',
  '\u200b',
  '\ufeff',
  '__proto__',
  'constructor',
  'x'.repeat(4_096),
  `${'x'.repeat(4_095)}y`,
  '🔒'.repeat(1_024),
];

export const nameCases: readonly Case[] = [
  {
    name: 'any name is a lock of its own: spaces, NUL, braces, patterns, emoji, four kilobytes, case and Unicode forms',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const salt = stage.key('');
      const names = HOSTILE.flatMap((name) => [name + salt, salt + name]);
      const locks = await within(
        20_000,
        'every name locked',
        Promise.all(names.map((name) => engine.acquire(name, { wait: 0, ttl: LONG }))),
      );
      await Promise.all(
        locks.map(async (lock, index) => {
          const name = names[index] ?? '';
          assert.equal(lock.key, name);
          const info = await other.inspect(name);
          assert.deepEqual(
            info.holders.map(({ owner }) => owner),
            [lock.owner],
            JSON.stringify(name),
          );
          assert.equal(await other.tryAcquire(name), null, JSON.stringify(name));
        }),
      );
      for (const lock of locks) assert.equal(await lock.release(), true, JSON.stringify(lock.key));
      for (const name of names) assert.equal(await stage.untouched(name), true, JSON.stringify(name));
    },
  },
  {
    name: 'a waiter is served on any name',
    async run(stage) {
      const [engine, other] = [await stage.engine(), await stage.engine()];
      const salt = stage.key('');
      await Promise.all(
        HOSTILE.map(async (name) => {
          const lock = await engine.acquire(name + salt, { ttl: LONG });
          const next = other.acquire(name + salt, { ttl: LONG, wait: LONG });
          await lock.release();
          await (await within(10_000, `the waiter on ${JSON.stringify(name)} is served`, next)).release();
        }),
      );
    },
  },
  {
    name: 'names that no server could tell apart are refused or kept apart, never confused',
    async run(stage) {
      const engine = await stage.engine();
      const salt = stage.key('');
      // Half of a surrogate pair has no UTF-8: most encoders make the same three bytes of every one.
      const held = await Promise.allSettled(
        ['\ud800', '\udbff', '\ufffd'].map((half) => engine.acquire(half + salt, { wait: 0, ttl: LONG })),
      );
      for (const result of held) {
        if (result.status === 'rejected') assert(result.reason instanceof LockKeyError, String(result.reason));
        else await result.value.release();
      }
    },
  },
  {
    name: 'an empty name is refused before anything is locked',
    async run(stage) {
      const engine = await stage.engine();
      const key = stage.key();
      await assert.rejects(engine.acquire(''), LockKeyError);
      await assert.rejects(engine.tryAcquire(''), LockKeyError);
      await assert.rejects(engine.acquire([key, '']), LockKeyError);
      await assert.rejects(engine.acquire([]), LockKeyError);
      await assert.rejects(
        engine.withLock('', () => assert.fail('the work ran')),
        LockKeyError,
      );
      assert.equal(await stage.untouched(key), true);
    },
  },
];
