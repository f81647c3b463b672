import { type Claim, MOST_UNCONFIRMED } from '../../backends/backend.js';
import type { Released } from '../asking/release-retries.js';
import type { Clock } from '../time/clock.js';
import type { Family } from './family.js';
import { forItsLongest, type HeldKey } from './held-key.js';
import { Lease } from './lease.js';
import type { Watchdog } from './watchdog.js';

/** A waiter that may be given the key by another owner of its process. */
export interface Successor {
  readonly claim: Claim;
  /** Who stands directly ahead of it; only `LocalHandOver` touches it. */
  ahead: string | undefined;
  /** Whether it does nothing but wait, for no answer either. */
  readonly waiting: boolean;
  /** Whether it is to be served in turn only. */
  readonly fair: boolean;
  takeOver(lease: Lease, fencingToken: bigint): void;
}

export interface HandOverTools {
  readonly clock: Clock;
  readonly family: Pick<Family, 'detach'>;
  readonly watchdog: Pick<Watchdog, 'keepAndRenew'>;
  /** The server did not confirm that the key went on. The successor tries again. */
  readonly onUnknown: (claim: Claim, error: unknown) => void;
}

/** How often in a row a key goes to somebody of its process out of turn, before it is the server's to give again. */
export const MOST_OUT_OF_TURN = 32;

/**
 * From one owner to the next inside of a process, the lock goes without waiting for the server, as it does among the threads of one
 * node in a cohort lock (Dice, Marathe, Shavit: Lock Cohorting, 2012).
 *
 * Nobody is overtaken: the server told each waiter who stands directly ahead of it, and later ones come behind. Nobody else gets in:
 * the server has the old owner, whose lease is what the new one believes in until the server has confirmed it. That takes one
 * call, which is on its way while the new owner works, and is repeated like a renewal while it is not answered.
 *
 * Those who asked for `fair: false` may go ahead of others that came before, `MOST_OUT_OF_TURN` times in a row.
 */
export class LocalHandOver {
  readonly #behind = new Map<string, Successor>();
  /** Those who may be served out of turn, by their key, as they came. */
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

  /** It waits in line, and the server says who stands directly ahead of it. */
  stand(successor: Successor, ahead: string | undefined): void {
    if (!this.possible) return;
    if (!successor.fair) this.#unfairFor(successor.claim.key).add(successor);
    if (successor.ahead === ahead) return;
    this.#stepOut(successor);
    if (!ahead?.startsWith(this.#inside)) return;
    successor.ahead = ahead;
    this.#behind.set(ahead, successor);
  }

  /** It waits no more. */
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
   * Gives the key to the next in line, if that waits in this process, or to one of it who need not be next; otherwise `undefined`, and
   * it is to be released. Resolves to whether it was held until then, or to `undefined` if it has to be released after all.
   */
  handOn(held: HeldKey): Promise<Released | undefined> | undefined {
    const { claim, lease, fencingToken } = held;
    const next = this.#nextOf(claim, lease);
    const successor = next ?? this.#anyOf(claim, lease);
    if (!successor || fencingToken === undefined || !lease.live) return undefined;
    // What the server keeps for longer than the successor asked for would outlive it by that much.
    if (lease.longest > successor.claim.ttl) return undefined;
    // A renewal that arrived after this would find another owner.
    if (lease.renewing && lease.succession.unconfirmedToken === undefined) return undefined;
    if (lease.succession.depth >= MOST_UNCONFIRMED) return lease.renewing?.then(() => this.#handOnSoon(held));
    // The successor needs time to have its own lease confirmed.
    if (lease.remainingMs < successor.claim.claimTtl / 2) return undefined;
    return this.#give(successor, held, fencingToken + 1n, next ? 0 : lease.succession.outOfTurn + 1);
  }

  /** Who stands directly behind, unless somebody was overtaken on the way here: then that is no longer the next. */
  #nextOf({ owner }: Claim, { succession: { overtaking, outOfTurn } }: Lease): Successor | undefined {
    const next = this.#behind.get(owner);
    return next?.waiting && !overtaking && outOfTurn === 0 ? next : undefined;
  }

  #anyOf({ key }: Claim, { succession: { outOfTurn } }: Lease): Successor | undefined {
    if (outOfTurn >= MOST_OUT_OF_TURN) return undefined;
    for (const successor of this.#unfair.get(key) ?? []) if (successor.waiting) return successor;
    return undefined;
  }

  /** Once an earlier one is confirmed. */
  #handOnSoon(held: HeldKey): Promise<Released | undefined> | undefined {
    return held.lease.succession.depth < MOST_UNCONFIRMED ? this.handOn(held) : undefined;
  }

  async #give(successor: Successor, predecessor: HeldKey, fencingToken: bigint, outOfTurn: number): Promise<Released> {
    const { clock, family, watchdog, onUnknown } = this.tools;
    const { claim, lease } = predecessor;
    const next = new Lease(clock, { claim: successor.claim }, lease.validUntil, successor.claim.ttl);
    const before = { succession: lease.succession, claim: forItsLongest(predecessor) };
    next.succession.follow(before, fencingToken, outOfTurn);
    this.leave(successor);
    void family.detach(claim, lease);
    const answered = watchdog.keepAndRenew(next);
    successor.takeOver(next, fencingToken);
    try {
      const held = await answered;
      // The successor may have let go meanwhile, or handed on, and what it said counted for both before this could arrive.
      return held || next.wasLost ? held : 'unknown';
    } catch (error) {
      // From here on it is the successor who tries again, and who takes back what is left of both.
      onUnknown(claim, error);
      return 'unknown';
    }
  }
}
