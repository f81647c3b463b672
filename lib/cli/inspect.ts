import type { LockInfo } from '../lock/lock.js';
import { parsed, theOnly } from './arguments.js';
import type { Command, Outcome } from './command.js';
import { connectionOptions, withEngine } from './connection.js';
import { connectionHelp } from './help.js';
import { duration, json, modeOf, shown, table } from './text.js';

/** Who holds one key, and who waits for it. */
export const inspectCommand: Command = {
  name: 'inspect',
  usage: '<key> --redis <url> | --etcd <hosts> | … [--json]',
  summary: 'shows who holds a key, who waits for it, and since when',
  details: connectionHelp,
  async run(args, terminal) {
    const { values, positionals } = parsed(args, connectionOptions);
    const key = theOnly('key', positionals);
    const lock = await withEngine(values, terminal, (engine) => engine.inspect(key));
    return {
      code: lock.held ? 0 : 3,
      out: values.json === true ? json(lock) : describe(lock),
      err: '',
    } satisfies Outcome;
  },
};

function describe(lock: LockInfo): string {
  const { key, held, holders, waiting, waiters = [], nodes = [] } = lock;
  const state = held ? `is held, ${modeOf(lock)}` : 'is free';
  const parts = [`${shown(key)} ${state}; ${waiting === 0 ? 'nobody waits' : `${waiting} wait`}.\n`];
  if (held) {
    const rows = holders.map(({ owner, heldMs, remainingMs, fencingToken }) => [
      shown(owner),
      duration(heldMs),
      duration(remainingMs),
      String(fencingToken ?? ''),
    ]);
    parts.push(table(['HOLDER', 'HELD', 'LEASE', 'TOKEN'], rows));
  }
  if (waiters.length > 0) {
    const rows = waiters.map(({ owner, waitingMs }) => [shown(owner), duration(waitingMs)]);
    parts.push(table(['WAITER', 'WAITING'], rows));
  }
  if (nodes.length > 0)
    parts.push(
      table(
        ['SERVER', 'SAYS'],
        nodes.map((node) => [shown(node.node), wordOf(node)]),
      ),
    );
  return parts.join('\n');
}

/** What one of several servers says, where a majority decides. */
function wordOf(node: NonNullable<LockInfo['nodes']>[number]): string {
  if ('error' in node) return `nothing: ${shown(node.error)}`;
  const { holders, waiting } = node;
  const owners = holders.map(({ owner }) => shown(owner)).join(', ');
  const waits = waiting === 0 ? '' : `, ${waiting} waiting`;
  return (owners === '' ? 'free' : `held by ${owners}`) + waits;
}
