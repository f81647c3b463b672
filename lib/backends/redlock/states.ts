import type { Holder, KeyState, NodeState } from '../backend.js';
import { messageOf } from '../../lock/messages.js';
import { ownerOf } from './owners.js';
import type { Answer } from './tally.js';

/**
 * What a majority of servers says of a key. A holder is whoever has the votes of a majority.
 * @param fencing whether tokens are of all servers together
 */
export function mergedState(answers: readonly Answer<KeyState>[], majority: number, fencing: boolean): KeyState {
  const known = answers.flatMap((answer) => ('error' in answer ? [] : [answer.value]));
  const holders = holdersOf(known, majority, fencing ? answers.length - known.length : undefined);
  const names = new Set(holders.map(({ owner }) => owner));
  const mode = known.find(({ holders }) => holders.some(({ owner }) => names.has(ownerOf(owner))))?.mode ?? 'exclusive';
  return { mode, limit: 1, holders, ...waitingOf(known, names), nodes: answers.map(nodeStateOf) };
}

/** @param silent how many servers said nothing; `undefined` if each has tokens of its own */
function holdersOf(states: readonly KeyState[], majority: number, silent: number | undefined): readonly Holder[] {
  const votes = new Map<string, Holder[]>();
  for (const { holders } of states) {
    for (const holder of holders) {
      const owner = ownerOf(holder.owner);
      const theirs = votes.get(owner);
      if (theirs) theirs.push(holder);
      else votes.set(owner, [holder]);
    }
  }
  return [...votes].flatMap(([owner, theirs]): Holder[] => {
    if (theirs.length < majority) return [];
    // It has a majority until the first of the longest ends, and since the last of the earliest began.
    const remaining = theirs.map(({ remainingMs }) => remainingMs).sort((a, b) => b - a);
    const held = theirs.flatMap(({ heldMs }) => (heldMs === undefined ? [] : [heldMs])).sort((a, b) => b - a);
    const heldMs = held[majority - 1];
    return [
      {
        owner,
        fencingToken: silent === undefined ? undefined : commonToken(theirs, majority - silent),
        remainingMs: remaining[majority - 1] ?? 0,
        ...(heldMs !== undefined && { heldMs }),
      },
    ];
  });
}

/**
 * The token that is stored at so many servers: a majority, if those that say nothing have it too. It is the highest, because the
 * highest that any server gave was stored.
 */
function commonToken(votes: readonly Holder[], enough: number): bigint | undefined {
  const count = new Map<bigint, number>();
  for (const { fencingToken } of votes) {
    if (fencingToken !== undefined) count.set(fencingToken, (count.get(fencingToken) ?? 0) + 1);
  }
  const stored = [...count].filter(([, servers]) => servers >= enough).map(([token]) => token);
  return stored.reduce<bigint | undefined>(
    (highest, token) => (highest === undefined || token > highest ? token : highest),
    undefined,
  );
}

/** All wait at one server, and the one whose turn it is at all of them. */
function waitingOf(states: readonly KeyState[], holders: ReadonlySet<string>): Pick<KeyState, 'waiting' | 'waiters'> {
  let most: Pick<KeyState, 'waiting' | 'waiters'> = { waiting: 0 };
  for (const { waiting, waiters } of states) {
    const others = waiters
      ?.map((waiter) => ({ ...waiter, owner: ownerOf(waiter.owner) }))
      .filter(({ owner }) => !holders.has(owner));
    const count = waiting - (waiters?.length ?? 0) + (others?.length ?? 0);
    if (count > most.waiting) most = { waiting: count, ...(others && { waiters: others }) };
  }
  return most;
}

function nodeStateOf(answer: Answer<KeyState>): NodeState {
  const { node } = answer;
  if ('error' in answer) return { node, error: messageOf(answer.error) };
  const { holders, waiting } = answer.value;
  return { node, waiting, holders: holders.map((holder) => ({ ...holder, owner: ownerOf(holder.owner) })) };
}
