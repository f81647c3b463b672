import type { Busy, Claim, Conflict } from '../backend.js';
import { busy, refusalOf } from '../line/judge.js';
import type { Operation, TransactionResponse } from './client.js';
import { createdAt, type EtcdPlace, keyOf, placesIn, taken } from './places.js';
import { all, ends, found, isAbsent, isEmpty, isExclusive, MOST_AT_ONCE, own, put, remove } from './requests.js';
import type { EtcdSession } from './session.js';
import type { Store } from './store.js';

/** Takes all keys or none of them, and waits in no line. `undefined` when they do not fit into one transaction. */
export async function tryAll(
  store: Store,
  claims: readonly Claim[],
  session: EtcdSession,
): Promise<readonly EtcdPlace[] | Busy | Conflict | undefined> {
  if (claims.length > MOST_AT_ONCE) return undefined;
  const { lease } = session;
  // Nearly always the lines are empty, and nothing has to be read.
  const [only] = claims;
  const short = claims.length === 1 && only && isExclusive(only);
  const glance = short ? [[own(only), ...ends(only.key)]] : claims.map(({ key }) => [all(key)]);
  const alone = await store.transact(session, {
    compare: claims.map(isEmpty),
    success: claims.map((claim) => put(claim, lease)),
    failure: glance.flat(),
  });
  if (alone.succeeded) return claims.map((claim) => taken(claim, lease, alone.header.revision));
  const before = judge(claims, session, alone, glance);
  if ('granted' in before || before.length === claims.length) return before;

  // Nothing is in the way. The claims take their places, and give them back if another one was faster.
  const missing = claims.filter(({ owner }) => !before.some((place) => place.owner === owner));
  if (missing.length + claims.length > MOST_AT_ONCE) return undefined;
  const reads = claims.map(({ key }) => [all(key)]);
  const puts = missing.map((claim) => put(claim, lease));
  const answer = await store.transact(session, {
    compare: missing.map(isAbsent),
    success: [...puts, ...reads.flat()],
    failure: reads.flat(),
  });
  const after = judge(claims, session, answer, reads, answer.succeeded ? puts.length : 0);
  if (!('granted' in after) && after.length === claims.length) return after;
  const removals = missing.map((claim) => remove(keyOf(claim)));
  await store.transact(session, { compare: [], success: removals, failure: [] });
  return 'granted' in after ? after : busy(undefined, Number(answer.header.revision));
}

/**
 * The places that the claims have already, or why one of them cannot enter.
 * @param from where the answers to the reads begin
 */
function judge(
  claims: readonly Claim[],
  session: EtcdSession,
  answer: TransactionResponse,
  reads: readonly (readonly Operation[])[],
  from = 0,
): readonly EtcdPlace[] | Busy | Conflict {
  const places: EtcdPlace[] = [];
  let next = from;
  for (const [index, claim] of claims.entries()) {
    const line = placesIn(claim.key, found(answer, next, (next += reads[index]?.length ?? 0)));
    const mine = line.find(({ owner, kv }) => owner === claim.owner && kv.lease === session.lease);
    const ahead = mine ? line.filter((place) => createdAt(place) < createdAt(mine)) : line;
    const refusal = refusalOf(claim, ahead, Number(answer.header.revision));
    if (refusal) return refusal;
    if (mine) places.push(mine);
  }
  return places;
}
