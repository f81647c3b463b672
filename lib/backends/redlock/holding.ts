import type { BackendClock } from '../backend.js';
import type { Verdict } from './campaign.js';
import type { Ballot, Contender, Seat } from './contender.js';
import { OUT_OF_REACH } from './failure.js';
import { decide, type Poll } from './tally.js';

export interface HoldingOptions {
  readonly clock: BackendClock;
  readonly majority: number;
  readonly fencing: boolean;
  readonly reachable: ReadonlySet<number>;
  /** A lease as the servers are asked for it. */
  readonly stretched: (ttl: number) => number;
}

/**
 * Asks all once more for the one who holds it. Nothing is given back, whatever they say: who holds it may have been told so, and believes it.
 * Resolves to nothing when a majority says that it is over.
 */
export async function confirm(
  contender: Contender,
  ttl: number,
  { clock, majority, fencing, reachable, stretched }: HoldingOptions,
): Promise<Verdict | undefined> {
  const needed = clock.now() + ttl;
  const ballot = { ttl: stretched(ttl), believedMs: ttl, wait: false };
  const polls = contender.seats.map((seat, index): Poll<boolean> => {
    const ask = async (): Promise<boolean> => {
      if (!reachable.has(index)) throw new Error(OUT_OF_REACH);
      const asked = await contender.ask(index, ballot);
      if (!asked.ok) throw asked.error;
      // Another token is another grant: the lease had ended in between.
      return seat.until >= needed && (!fencing || seat.fencingToken === contender.fencingToken);
    };
    return { node: seat.node.name, answer: ask() };
  });
  try {
    return (await decide(polls, majority)) ? { kind: 'majority' } : undefined;
  } catch (error) {
    return { kind: 'unconfirmed', error };
  }
}

/**
 * A server without this holder's vote, as after a restart, gives it again if it is free. Its tokens go on from the holder's. One healing at
 * a time, and none of a vote that another one has brought back meanwhile: it would be taken back here.
 */
export async function heal(
  contender: Contender,
  index: number,
  ttl: number,
  stretched: HoldingOptions['stretched'],
): Promise<void> {
  const seat = contender.seats[index];
  if (!seat || seat.until > -Infinity || contender.healing.has(seat)) return;
  contender.healing.add(seat);
  try {
    await giveBack(contender, index, seat, { ttl: stretched(ttl), believedMs: ttl, wait: false });
  } finally {
    contender.healing.delete(seat);
  }
}

async function giveBack(contender: Contender, index: number, seat: Seat, ballot: Ballot): Promise<void> {
  contender.withdraw(index).catch(() => undefined);
  const asked = await contender.ask(index, ballot);
  const { fencingToken } = contender;
  if (!asked.ok || seat.until === -Infinity || !contender.held || fencingToken === undefined) return;
  const { backend } = seat.node;
  const answer = await seat.node
    .ask(async () => backend.handOver?.takeOver(contender.claimAt(seat), [], fencingToken))
    .catch(() => undefined);
  if (answer !== undefined && answer !== 'gone') seat.fencingToken = fencingToken;
}

/** Turns it into a shared lock at every server that has it. */
export async function downgrade(contender: Contender | undefined, majority: number): Promise<boolean> {
  if (!contender?.held) return false;
  const polls = contender.seats.map((seat): Poll<boolean> => {
    const { node } = seat;
    const ask = async (): Promise<boolean> => (await node.backend.downgrade?.(contender.claimAt(seat))) ?? false;
    return { node: node.name, answer: seat.until > -Infinity ? node.ask(ask) : Promise.resolve(false) };
  });
  contender.claim = { ...contender.claim, mode: 'shared' };
  return decide(polls, majority);
}
