import type { Claim } from '../backend.js';
import type { Contender, Seat } from './contender.js';
import { type NodeFailure, OUT_OF_REACH, QuorumError } from './failure.js';
import type { Node } from './node.js';
import { Tally } from './tally.js';

/** A lock to renew. */
export interface ToRenew {
  readonly claim: Claim;
  /** What the servers have of it; nothing if it was released or given up. */
  readonly contender: Contender | undefined;
}

export interface RenewalOptions {
  readonly nodes: readonly Node[];
  readonly reachable: ReadonlySet<number>;
  readonly majority: number;
  readonly now: () => number;
  /** A lease as the servers are asked for it. */
  readonly stretched: (ttl: number) => number;
  /** A server without the vote of somebody who has a majority. */
  readonly heal: (contender: Contender, index: number, ttl: number) => void;
}

/**
 * Renews at every server by itself, and for each lock a majority says whether it is still held. Resolves as soon as that is known of all, and
 * `undefined` where too few answered. Rejects when nothing is known of any.
 */
export function renewAll(
  locks: readonly ToRenew[],
  options: RenewalOptions,
): Promise<readonly (boolean | undefined)[]> {
  const { nodes, reachable, majority, heal } = options;
  const tallies = locks.map(() => new Tally(nodes.length, majority));
  const lacking = new Map<ToRenew, number[]>();
  const failures: NodeFailure[] = [];
  let open = nodes.length;
  return new Promise((resolve, reject) => {
    let over = false;
    const look = (): void => {
      const outcomes = tallies.map(({ outcome }) => outcome);
      if (!over && open > 0 && outcomes.includes(undefined)) return;
      if (!over && locks.length > 0 && outcomes.every((outcome) => outcome === undefined))
        reject(new QuorumError(failures, nodes.length));
      else resolve(outcomes);
      over = true;
      // Only where the others say that it is held: what was released by force is not to come back.
      if (open > 0) return;
      for (const [at, { contender }] of locks.entries()) {
        if (tallies[at]?.outcome !== false || !contender?.held) continue;
        // Lost, and told so: one that it still has at a server would keep the others out.
        contender.held = false;
        contender.withdrawAll();
      }
      for (const [lock, indexes] of lacking) {
        if (tallies[locks.indexOf(lock)]?.outcome !== true || !lock.contender) continue;
        for (const index of indexes) heal(lock.contender, index, lock.claim.ttl);
      }
    };
    const count = (index: number, answers: ReadonlyMap<ToRenew, boolean>): void => {
      for (const [at, lock] of locks.entries()) {
        const answer = answers.get(lock);
        tallies[at]?.count(answer);
        if (answer !== false || !lock.contender) continue;
        const others = lacking.get(lock);
        if (others) others.push(index);
        else lacking.set(lock, [index]);
      }
      open--;
      look();
    };
    for (const [index, node] of nodes.entries()) {
      const answers = new Map<ToRenew, boolean>();
      const voted: { readonly lock: ToRenew; readonly seat: Seat; readonly number: number }[] = [];
      for (const lock of locks) {
        const seat = lock.contender?.held ? lock.contender.seats[index] : undefined;
        if (seat && seat.until > -Infinity) voted.push({ lock, seat, number: seat.number });
        else answers.set(lock, false);
      }
      if (!reachable.has(index)) {
        failures.push({ node: node.name, error: new Error(OUT_OF_REACH) });
        // What it would say of a vote that it never gave is known.
        count(index, answers);
        continue;
      }
      if (voted.length === 0) {
        count(index, answers);
        continue;
      }
      const sentAt = options.now();
      const claims = voted.map(({ lock: { claim, contender }, seat }) => ({
        ...(contender?.claimAt(seat) ?? claim),
        ttl: options.stretched(claim.ttl),
      }));
      node
        .ask(() => node.backend.renew(claims))
        .then((held) => {
          for (const [at, { lock, seat, number }] of voted.entries()) {
            const answer = held[at];
            if (answer === undefined || seat.number !== number) continue;
            answers.set(lock, answer);
            seat.until = answer ? Math.max(seat.until, sentAt + lock.claim.ttl) : -Infinity;
          }
        })
        .catch((error: unknown) => failures.push({ node: node.name, error }))
        .finally(() => count(index, answers));
    }
    if (nodes.length === 0) look();
  });
}
