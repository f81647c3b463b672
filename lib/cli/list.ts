import type { LockInfo } from '../lock/lock.js';
import { none, parsed } from './arguments.js';
import { type Command, type Outcome, UsageError } from './command.js';
import { connectionOptions, withEngine } from './connection.js';
import { connectionHelp, row } from './help.js';
import { allOf } from './pages.js';
import { duration, json, modeOf, shown, table } from './text.js';

/** All keys that are held or waited for. */
export const listCommand: Command = {
  name: 'list',
  usage: '--redis <url> | --etcd <hosts> | … [--match <pattern>] [--limit <n>] [--json]',
  summary: 'shows who holds which key, for how long, and how many wait',
  details: [
    'Options',
    row('--match <pattern>', "only such keys; `*` stands for any text, as in 'order:*'"),
    row('--limit <n>', 'at most so many keys (default 100)'),
    '',
    connectionHelp,
  ].join('\n'),
  async run(args, terminal) {
    const { values, positionals } = parsed(args, {
      ...connectionOptions,
      match: { type: 'string' },
      limit: { type: 'string' },
    });
    none(positionals);
    const limit = limitOf(values.limit);
    const { locks, more } = await withEngine(values, terminal, (engine) => allOf(engine, values.match, limit));
    const err = more
      ? `There are more than ${limit} keys. Show more with \`--limit\`, or fewer with \`--match\`.\n`
      : '';
    return { code: 0, out: values.json === true ? json(locks) : tableOf(locks), err } satisfies Outcome;
  },
};

function limitOf(text = '100'): number {
  const limit = Number(text);
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new UsageError(`\`--limit\` is ${JSON.stringify(text)}; it is a whole number from 1 up.`);
}

/** One line for each holder, and for a key that is only waited for. */
function tableOf(locks: readonly LockInfo[]): string {
  if (locks.length === 0) return 'No key is held or waited for.\n';
  const rows = locks.flatMap((lock) => {
    const key = [shown(lock.key), modeOf(lock)];
    const waiting = lock.waiting > 0 ? String(lock.waiting) : '';
    if (lock.holders.length === 0) return [[...key, '', '', '', '', waiting]];
    return lock.holders.map(({ owner, heldMs, remainingMs, fencingToken }, index) => [
      ...(index === 0 ? key : ['', '']),
      shown(owner),
      duration(heldMs),
      duration(remainingMs),
      String(fencingToken ?? ''),
      index === 0 ? waiting : '',
    ]);
  });
  return table(['KEY', 'MODE', 'HOLDER', 'HELD', 'LEASE', 'TOKEN', 'WAITING'], rows);
}
