import { type Claim, MOST_UNCONFIRMED } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Family } from './family.js';
import { forItsLongest, type HeldKey } from './held-key.js';
import { Lease } from './lease.js';
import type { Watchdog } from './watchdog.js';

/** A waiter that may get the key from another owner of its process. */
export interface Successor {
  readonly claim: Claim;
  /** The owner directly ahead of it in line. Only `LocalHandOver` writes it. */
  ahead: string | undefined;
  /** Whether it only waits, and no answer of the server is on its way to it. */
  readonly waiting: boolean;
  /** Whether it may be served in arrival order only. */
  readonly fair: boolean;
  takeOver(lease: Lease, fencingToken: bigint): void;
}

export interface HandOverTools {
  readonly clock: Clock;
  readonly family: Pick<Family, 'detach'>;
  readonly watchdog: Pick<Watchdog, 'keepAndRenew'>;
  /** The server did not confirm the hand-over. The successor tries again. */
  readonly onUnknown: (claim: Claim, error: unknown) => void;
}

/** How often in a row a process may hand on a key out of order. After that the server gives it to the first in line. */
export const MOST_OUT_OF_TURN = 32;

/** What becomes of a key that its owner lets go. */
type Decision =
  | {
      readonly next: 'give';
      readonly successor: Successor;
      readonly fencingToken: bigint;
      /** How often in a row the key has gone out of order, this time included. */
      readonly outOfTurn: number;
    }
  /** Too many owners are unconfirmed. The renewal on its way may confirm some. */
  | { readonly next: 'decide again'; readonly after: Promise<void> }
  | { readonly next: 'release' };

const RELEASE: Decision = { next: 'release' };

/**
 * Hands the lock from one owner to the next inside a process without waiting for the server, as a cohort lock does among the threads of
 * one node (Dice, Marathe, Shavit: Lock Cohorting, 2012).
 *
 * It keeps the order, because the server told each waiter which owner stands directly ahead of it, and later waiters join behind. It keeps
 * others out, because the server still has the old owner, and the new one trusts only the old owner's lease until the server confirms the
 * hand-over. The confirmation takes one call. The new owner works meanwhile, and the call is repeated like a renewal.
 *
 * Waiters with `fair: false` may overtake others, `MOST_OUT_OF_TURN` times in a row.
 */
export class LocalHandOver {
  readonly #behind = new Map<string, Successor>();
  /** The waiters with `fair: false`, by their key, in arrival order. */
  readonly #unfair = new Map<string, Set<Successor>>();
  readonly #inside: string;

  /** @param instance names this process in owners */
  constructor(
    instance: string,
    private readonly possible: boolean,
    private readonly tools: HandOverTools,
  ) {
    this.#inside = `${instance}:`;
  }

  /** The waiter stands in line. The server named the owner directly ahead of it. */
  stand(successor: Successor, ahead: string | undefined): void {
    if (!this.possible) return;
    if (!successor.fair) this.#unfairFor(successor.claim.key).add(successor);
    if (successor.ahead === ahead) return;
    this.#stepOut(successor);
    if (!ahead?.startsWith(this.#inside)) return;
    successor.ahead = ahead;
    this.#behind.set(ahead, successor);
  }

  /** The waiter no longer waits. */
  leave(successor: Successor): void {
    this.#stepOut(successor);
    if (successor.fair) return;
    const { key } = successor.claim;
    const others = this.#unfair.get(key);
    others?.delete(successor);
    if (others?.size === 0) this.#unfair.delete(key);
  }

  #stepOut(successor: Successor): void {
    if (successor.ahead === undefined) return;
    if (this.#behind.get(successor.ahead) === successor) this.#behind.delete(successor.ahead);
    successor.ahead = undefined;
  }

  #unfairFor(key: string): Set<Successor> {
    let some = this.#unfair.get(key);
    if (!some) this.#unfair.set(key, (some = new Set()));
    return some;
  }

  /**
   * Gives the key to a waiter of this process. Returns `undefined` when you must release it. Otherwise resolves to whether it was held
   * until then, or to `undefined` when you must release it after all.
   */
  handOn(held: HeldKey): Promise<Released | undefined> | undefined {
    const decision = this.#decide(held);
    switch (decision.next) {
      case 'give':
        return this.#give(held, decision);
      case 'decide again':
        return decision.after.then(() => (this.#isTooDeep(held) ? undefined : this.handOn(held)));
      default:
        return undefined;
    }
  }

  #decide(held: HeldKey): Decision {
    const { claim, lease, fencingToken } = held;
    const next = this.#nextOf(claim, lease);
    const successor = next ?? this.#anyOf(claim, lease);
    if (!successor || fencingToken === undefined || !lease.live) return RELEASE;
    // The server would keep the lease for longer than the successor asked for.
    if (lease.longest > successor.claim.ttl) return RELEASE;
    // The renewal would arrive after the hand-over and find another owner.
    if (lease.renewing && lease.succession.unconfirmedToken === undefined) return RELEASE;
    if (this.#isTooDeep(held)) return lease.renewing ? { next: 'decide again', after: lease.renewing } : RELEASE;
    // The successor needs time until the server has confirmed its own lease.
    if (lease.remainingMs < successor.claim.claimTtl / 2) return RELEASE;
    const outOfTurn = next ? 0 : lease.succession.outOfTurn + 1;
    return { next: 'give', successor, fencingToken: fencingToken + 1n, outOfTurn };
  }

  #isTooDeep({ lease }: HeldKey): boolean {
    return lease.succession.depth >= MOST_UNCONFIRMED;
  }

  /** The waiter directly behind. After an overtaking there is none, because the overtaken waiter is next. */
  #nextOf({ owner }: Claim, { succession: { overtaking, outOfTurn } }: Lease): Successor | undefined {
    const next = this.#behind.get(owner);
    return next?.waiting && !overtaking && outOfTurn === 0 ? next : undefined;
  }

  #anyOf({ key }: Claim, { succession: { outOfTurn } }: Lease): Successor | undefined {
    if (outOfTurn >= MOST_OUT_OF_TURN) return undefined;
    for (const successor of this.#unfair.get(key) ?? []) if (successor.waiting) return successor;
    return undefined;
  }

  async #give(predecessor: HeldKey, decision: Extract<Decision, { next: 'give' }>): Promise<Released> {
    const { successor, fencingToken, outOfTurn } = decision;
    const { clock, family, watchdog, onUnknown } = this.tools;
    const { claim, lease } = predecessor;
    const next = new Lease(clock, { claim: successor.claim }, lease.validUntil, successor.claim.ttl, lease.kept);
    const before = { succession: lease.succession, claim: forItsLongest(predecessor) };
    next.succession.follow(before, fencingToken, outOfTurn);
    this.leave(successor);
    void family.detach(claim, lease);
    const answered = watchdog.keepAndRenew(next);
    successor.takeOver(next, fencingToken);
    try {
      const held = await answered;
      // The successor may have released the key or handed it on meanwhile. The server's answer to that counts for both.
      return held || next.wasLost ? held : 'unknown';
    } catch (error) {
      // The successor tries again from here on, and takes back what the server may still have of both.
      onUnknown(claim, error);
      return 'unknown';
    }
  }
}
