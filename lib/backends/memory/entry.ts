import type { Busy, Claim } from '../backend.js';
import type { Holder, Holders } from './holders.js';
import type { Line, Place } from './line.js';

/** What an owner holds of a key. */
export interface Hold extends Holder {
  claim: Claim;
  readonly token: bigint;
  readonly since: number;
  ends: number;
  /** Let go by its holder, but closed until `ends`. */
  closed: boolean;
}

/** One key: who holds it and who waits. */
export interface Entry {
  readonly holds: Holders<Hold>;
  readonly line: Line;
}

/** How soon one of the foremost waiters is to look again, whatever happens: the bound on what a lost push costs. */
export const LOOK_MS = 1_000;
/** So many of the foremost look at the end of the present lease; one of them suffices, unless it has died. */
const FOREMOST = 20;
/**
 * One look of the foremost serves the whole line, so each one ahead adds this: with thousands there would be nothing but looks. Behind
 * the foremost it adds more. They are told when they come to be first.
 */
const LOOK_STEP_MS = 20;
const LATER_STEP_MS = 100;
const LONGEST_LOOK_MS = 300_000;
/** A look later than this one comes after the present lease. */
export const LATEST_FOREMOST_LOOK_MS = LOOK_MS + FOREMOST * LOOK_STEP_MS;

/** Whether one more claim fits beside the present holds: exclusive alone, shared beside shared, a permit while some are left. */
export function isOpen({ holds }: Entry, claim: Claim): boolean {
  if (claim.limit > 1) return holds.size < claim.limit;
  // An exclusive hold is the only one.
  return claim.mode === 'exclusive' ? holds.size === 0 : holds.first?.claim.mode !== 'exclusive';
}

/** How soon the waiter is to look again. Those who have left from between count as ahead, so it may be later than need be. */
export function lookOf({ number }: Place, { line }: Entry): number {
  const ahead = number - (line.first?.number ?? number);
  const behind = Math.max(0, ahead - FOREMOST);
  return Math.min(LOOK_MS + ahead * LOOK_STEP_MS + behind * LATER_STEP_MS, LONGEST_LOOK_MS);
}

/** Who stands directly ahead in line, or holds the key. */
export function aheadOf({ before }: Place, { holds: { first } }: Entry): Pick<Busy, 'ahead'> {
  const ahead = before?.claim.owner ?? first?.claim.owner;
  return ahead === undefined ? {} : { ahead };
}

/** The limit that the key is used with, if it is another than the claim's. */
export function limitInForce({ holds: { first }, line }: Entry, claim: Claim): number | undefined {
  const limit = (first ?? line.first)?.claim.limit;
  return limit === claim.limit ? undefined : limit;
}
