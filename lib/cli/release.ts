import type { LockEngine } from '../engine/engine.js';
import type { LockInfo } from '../lock/lock.js';
import { parsed, theOnly } from './arguments.js';
import { type Command, type Outcome, type Terminal, UsageError } from './command.js';
import { connectionOptions, withEngine } from './connection.js';
import { connectionHelp, row } from './help.js';
import { duration, json, shown } from './text.js';

/** Takes a key from whoever holds it. */
export const releaseCommand: Command = {
  name: 'release',
  usage: '<key> --redis <url> | --etcd <hosts> | … [--yes] [--json]',
  summary: 'takes a key from whoever holds it, and gives it to the next in line',
  details: [
    'The holder hears of it at its next renewal or sooner, and may be at work until then.',
    '',
    'Options',
    row('--yes', 'do not ask'),
    '',
    connectionHelp,
  ].join('\n'),
  async run(args, terminal) {
    const { values, positionals } = parsed(args, { ...connectionOptions, yes: { type: 'boolean' } });
    const key = theOnly('key', positionals);
    const { yes = false } = values;
    if (!yes && !terminal.ask)
      throw new UsageError('Nobody can be asked here. Say `--yes` to release without a question.');
    const result = await withEngine(values, terminal, (engine) => release(engine, key, yes ? undefined : terminal.ask));
    const text = values.json === true ? json({ key, ...result }) : `${sentences[result.outcome](shown(key))}\n`;
    return { code: codes[result.outcome], out: text, err: '' } satisfies Outcome;
  },
};

type Result =
  | { readonly outcome: 'released'; readonly holders: LockInfo['holders'] }
  | { readonly outcome: 'free' | 'declined' | 'changed' };

const codes = { released: 0, free: 3, declined: 1, changed: 1 } as const;

const sentences: Readonly<Record<Result['outcome'], (key: string) => string>> = {
  released: (key) => `${key} was released.`,
  free: (key) => `Nobody holds ${key}.`,
  declined: (key) => `${key} was left as it is.`,
  changed: (key) => `Somebody else holds ${key} by now, so it was left as it is.`,
};

async function release(engine: LockEngine, key: string, question: Terminal['ask']): Promise<Result> {
  const before = await engine.inspect(key);
  if (!before.held) return { outcome: 'free' };
  if (question) {
    if (!(await question(questionFor(before)))) return { outcome: 'declined' };
    // The answer was for that holder. The key may have gone on while it was thought about.
    const now = await engine.inspect(key);
    if (now.held && ownersOf(now) !== ownersOf(before)) return { outcome: 'changed' };
  }
  return (await engine.forceRelease(key)) ? { outcome: 'released', holders: before.holders } : { outcome: 'free' };
}

const ownersOf = ({ holders }: LockInfo): string => JSON.stringify(holders.map(({ owner }) => owner).toSorted());

function questionFor({ key, holders, waiting }: LockInfo): string {
  const list = holders.map(
    ({ owner, heldMs }) => `  ${shown(owner)}${heldMs === undefined ? '' : `, for ${duration(heldMs)}`}\n`,
  );
  const next = waiting === 0 ? 'Nobody waits for it' : `${waiting} wait for it`;
  return `${shown(key)} is held by\n${list.join('')}${next}. Whoever holds it may be at work. Release it? [y/N] `;
}
