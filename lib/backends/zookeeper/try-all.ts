import type { Busy, Claim, Conflict } from '../backend.js';
import { refusalOf } from '../line/judge.js';
import { is } from './client/index.js';
import * as requests from './client/requests.js';
import type { ZooKeeperPlace } from './layout.js';
import { isThere, type Nodes, ROUNDS } from './nodes.js';
import type { ZooKeeperSession } from './session.js';

type Refusal = Busy | Conflict;

/**
 * Takes a place for each of several keys in one step. When one of them is not foremost, all are given back: a transaction of ZooKeeper
 * cannot demand that a line is empty. So the lines are read first, and places that are taken in vain are rare.
 */
export async function tryAll(
  nodes: Nodes,
  claims: readonly Claim[],
  session: ZooKeeperSession,
): Promise<readonly ZooKeeperPlace[] | Refusal> {
  const places = new Map<Claim, ZooKeeperPlace>();
  const lines = await Promise.all(claims.map(async (claim) => nodes.line(claim.key, session)));
  for (const [index, claim] of claims.entries()) {
    const { line, at } = lines[index] ?? { line: [], at: 0 };
    const own = line.find(({ owner }) => owner === claim.owner);
    const mine = own && (await nodes.reclaim(own, session));
    if (mine) places.set(claim, mine);
    const others = line.slice(0, mine ? line.indexOf(own) : undefined);
    // What is kept closed may be over, which only a place of one's own can tell.
    const refusal = refusalOf(
      claim,
      others.filter(({ owner, keptMs }) => owner !== claim.owner && keptMs === undefined),
      at,
    );
    if (refusal) return refusal;
  }
  const wanted = claims.filter((claim) => !places.has(claim));
  if (wanted.length > 0) {
    const refusal = await take(nodes, wanted, session, places);
    if (refusal) return refusal;
  }
  return claims.flatMap((claim) => places.get(claim) ?? []);
}

async function take(
  nodes: Nodes,
  wanted: readonly Claim[],
  session: ZooKeeperSession,
  places: Map<Claim, ZooKeeperPlace>,
): Promise<Refusal | undefined> {
  for (let round = 0; round < ROUNDS; round++) {
    // As in `join`: the new nodes of keys go in the same write as what is to be in them.
    const [made, created, ...lines] = await Promise.allSettled([
      round > 0 ? Promise.all(wanted.map(({ key }) => nodes.makeFolder(key, session))) : undefined,
      session.ask(requests.multi(...wanted.map((claim) => requests.createIn(...nodes.newPlace(claim, session))))),
      ...wanted.map(({ key }) => nodes.names(key, session)),
    ]);
    if (created.status === 'rejected') {
      if (made.status === 'rejected') throw made.reason;
      if (!is(created.reason, 'NoNode')) throw created.reason;
      continue;
    }
    const taken = wanted.map((claim, index) =>
      nodes.placeOf(claim.key, String(created.value.value[index]), created.value.at),
    );
    let refusal: Refusal | undefined;
    for (const [index, claim] of wanted.entries()) {
      const line = lines[index];
      const place = taken[index];
      if (!place || !line) throw new Error('an answer without a line');
      if (line.status === 'rejected') throw line.reason;
      const { own, ahead, at } = await nodes.viewOf(claim, place, session, line.value);
      refusal ??= refusalOf(claim, ahead, at);
      if (own) places.set(claim, own);
    }
    if (refusal) await Promise.all(taken.map(({ path }) => isThere(session.ask(requests.remove(path)))));
    return refusal;
  }
  throw new Error(
    `the nodes of ${wanted.map(({ key }) => `'${key}'`).join(', ')} were removed ${ROUNDS} times meanwhile`,
  );
}
