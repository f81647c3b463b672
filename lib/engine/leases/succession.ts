import type { Claim } from '../../backends/backend.js';

/** The previous owner, while the server may still have it as the holder. */
interface Predecessor {
  readonly succession: Succession;
  readonly claim: Claim;
}

/**
 * The place of a lease in a chain of owners of this process that handed the key to each other, and of which the server has confirmed none.
 * The chain has one state in two directions, and only this class changes it.
 */
export class Succession {
  #predecessor: Predecessor | undefined;
  #successor: Succession | undefined;
  #unconfirmedToken: bigint | undefined;
  #overtaking = false;
  #outOfTurn = 0;

  constructor(private readonly lease: { readonly ended: boolean }) {}

  /** The token that this process gave the owner. Unset once the server has confirmed it. */
  get unconfirmedToken(): bigint | undefined {
    return this.#unconfirmedToken;
  }

  /** Other waiters were overtaken. They are next, and only the server can serve them. */
  get overtaking(): boolean {
    return this.#overtaking;
  }

  /** How often in a row the key went out of order, as far as this process knows. */
  get outOfTurn(): number {
    return this.#outOfTurn;
  }

  /** The number of earlier owners that the server may still have as the holder. */
  get depth(): number {
    let depth = 0;
    for (const _ of this.#predecessors()) depth++;
    return depth;
  }

  /** Whether the server may still have this owner as the holder in place of a successor. */
  get isStandIn(): boolean {
    for (let next = this.#successor; next; next = next.#successor) if (!next.lease.ended) return true;
    return false;
  }

  /** The owner takes the key over from another owner of this process. */
  follow(predecessor: Predecessor, fencingToken: bigint, outOfTurn: number): void {
    predecessor.succession.#successor = this;
    this.#predecessor = predecessor;
    this.#unconfirmedToken = fencingToken;
    this.#outOfTurn = outOfTurn;
  }

  /** The claims of earlier owners that the server may still have as the holder, the earliest first. */
  unconfirmed(): readonly Claim[] {
    if (!this.#predecessor) return NONE;
    return Array.from(this.#predecessors(), ({ claim }) => claim).reverse();
  }

  /** The server has this owner as the holder, and so none of the earlier ones. */
  confirm(overtaking: boolean): void {
    this.#overtaking = overtaking;
    for (const { succession } of [{ succession: this }, ...this.#predecessors()]) {
      if (succession.#predecessor) succession.#predecessor.succession.#successor = undefined;
      succession.#predecessor = undefined;
      succession.#unconfirmedToken = undefined;
    }
  }

  /** Goes back from the previous owner to the one that the server knows. */
  *#predecessors(): Generator<Predecessor> {
    for (let before = this.#predecessor; before; before = before.succession.#predecessor) yield before;
  }
}

const NONE: readonly Claim[] = [];
