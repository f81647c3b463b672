import type { Claim } from '../../backends/backend.js';

/** The owner before, while the server may still have it as the holder. */
interface Predecessor {
  readonly succession: Succession;
  readonly claim: Claim;
}

/**
 * Where a lease stands among owners of this process that took its key over from each other, as long as the server has confirmed none
 * of them. The chain has one state in two directions, and only this class changes it.
 */
export class Succession {
  #predecessor: Predecessor | undefined;
  #successor: Succession | undefined;
  #unconfirmedToken: bigint | undefined;
  #overtaking = false;
  #outOfTurn = 0;

  constructor(private readonly lease: { readonly ended: boolean }) {}

  /** The token that this process gave the owner, until the server has confirmed it. */
  get unconfirmedToken(): bigint | undefined {
    return this.#unconfirmedToken;
  }

  /** Others have been overtaken: they are next, and only the server can serve them. */
  get overtaking(): boolean {
    return this.#overtaking;
  }

  /** How often in a row the key went to somebody of this process who was not the next, for all that is known here. */
  get outOfTurn(): number {
    return this.#outOfTurn;
  }

  /** How many owners before it the server may still have as the holder. */
  get depth(): number {
    let depth = 0;
    for (const _ of this.#predecessors()) depth++;
    return depth;
  }

  /** Whether the server may still have its owner as the holder for the sake of one that took the key over. */
  get isStandIn(): boolean {
    for (let next = this.#successor; next; next = next.#successor) if (!next.lease.ended) return true;
    return false;
  }

  /** The owner takes the key over from another one of this process. */
  follow(predecessor: Predecessor, fencingToken: bigint, outOfTurn: number): void {
    predecessor.succession.#successor = this;
    this.#predecessor = predecessor;
    this.#unconfirmedToken = fencingToken;
    this.#outOfTurn = outOfTurn;
  }

  /** The claims that the server may still have as the holder instead of its owner, the earliest first. */
  unconfirmed(): readonly Claim[] {
    if (!this.#predecessor) return NONE;
    return Array.from(this.#predecessors(), ({ claim }) => claim).reverse();
  }

  /** The server has its owner as the holder, and so none of those before. */
  confirm(overtaking: boolean): void {
    this.#overtaking = overtaking;
    for (const { succession } of [{ succession: this }, ...this.#predecessors()]) {
      if (succession.#predecessor) succession.#predecessor.succession.#successor = undefined;
      succession.#predecessor = undefined;
      succession.#unconfirmedToken = undefined;
    }
  }

  /** From the one before it back to the one that the server knows. */
  *#predecessors(): Generator<Predecessor> {
    for (let before = this.#predecessor; before; before = before.succession.#predecessor) yield before;
  }
}

const NONE: readonly Claim[] = [];
