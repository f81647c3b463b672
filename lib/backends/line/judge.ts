import type { Busy, Claim, Conflict } from '../backend.js';
import type { Place, Point } from './driver.js';

/** The rules of a line: who holds, and what is in a claim's way. */

/** How soon a waiter looks again if it hears nothing, in milliseconds. It bounds what a silent server costs a waiter. */
const LOOK_MS = 5_000;

/** The holders: in a semaphore the first places up to its limit, in a lock the first one, or all readers before the first writer. */
export function holdersIn<P extends Place>(line: readonly P[]): readonly P[] {
  const [first] = line;
  if (!first) return [];
  if (first.limit > 1) return line.slice(0, first.limit);
  if (!isReader(first)) return [first];
  const other = line.findIndex((place) => !isReader(place));
  return other < 0 ? line : line.slice(0, other);
}

/** What is in a claim's way. */
export type Obstacle<P extends Place> =
  /** This place must go. `last`: then the claim's turn has come; otherwise it looks again. */
  | { readonly place: P; readonly last: boolean }
  /** Any one of these must go, and then the claim's turn has come. */
  | { readonly any: readonly P[] };

/**
 * @param ahead the places ahead of the claim, foremost first; for an exclusive claim at least the first and the last one
 * @returns `undefined` when it is the claim's turn
 */
export function obstacleOf<P extends Place>({ mode, limit }: Claim, ahead: readonly P[]): Obstacle<P> | undefined {
  if (limit > 1) return obstacleOfPermit(limit, ahead);
  const inTheWay = mode === 'shared' ? ahead.filter((place) => !isReader(place)) : ahead;
  const place = inTheWay.at(-1);
  return place && { place, last: inTheWay.length === 1 };
}

/**
 * The first waiter needs any one of the holders to go. A waiter behind it watches the place just ahead, and looks again when that
 * one goes or becomes a holder.
 */
function obstacleOfPermit<P extends Place>(limit: number, ahead: readonly P[]): Obstacle<P> | undefined {
  const stranger = ahead.findLast((place) => place.limit !== limit);
  if (stranger) return { place: stranger, last: false };
  const before = ahead.at(-1);
  if (before === undefined || ahead.length < limit) return undefined;
  return ahead.length === limit ? { any: ahead } : { place: before, last: false };
}

/** The foremost place decides what the key is used as. */
export function conflictOf({ limit }: Claim, [first]: readonly Place[]): Conflict | undefined {
  return first && first.limit !== limit ? { granted: false, limit: first.limit } : undefined;
}

/** Why a claim cannot enter now, given the places ahead of it; `undefined` when it can. */
export function refusalOf(claim: Claim, ahead: readonly Place[], at: Point): Busy | Conflict | undefined {
  return conflictOf(claim, ahead) ?? (obstacleOf(claim, ahead) && busy(ahead[0], at));
}

export function busy(first: Place | undefined, at: Point): Busy {
  const answer = { granted: false, retryAfterMs: LOOK_MS, at } as const;
  return first ? { ...answer, holder: first.owner } : answer;
}

export const isReader = ({ mode, limit }: Pick<Place, 'mode' | 'limit'>): boolean => mode === 'shared' && limit === 1;
