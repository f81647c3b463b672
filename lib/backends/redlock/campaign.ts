import type { Busy, Conflict } from '../backend.js';
import type { Asked, Ballot, Contender } from './contender.js';
import { OUT_OF_REACH, QuorumError } from './failure.js';
import { ownerOf } from './owners.js';

/** How a campaign for a majority ended. */
export type Verdict =
  | { readonly kind: 'majority' }
  /** The server at which all wait says that it is not this claim's turn. */
  | { readonly kind: 'behind'; readonly said: Busy | Conflict }
  /** It is this claim's turn, but one other holds a majority still: to be waited for. */
  | { readonly kind: 'next'; readonly holder: string }
  /** It is this claim's turn where it waits, and others have votes elsewhere: none of them has a majority. */
  | { readonly kind: 'split' }
  | { readonly kind: 'unknown'; readonly error: unknown }
  /** It holds the lock as far as is known, and too few answered to say so once more. */
  | { readonly kind: 'unconfirmed'; readonly error: unknown };

export interface CampaignOptions {
  readonly majority: number;
  readonly now: () => number;
  readonly after: (ms: number, run: () => void) => () => void;
  /** Leases as the servers are asked for them, and how long such a vote is believed. */
  readonly ttl: number;
  readonly believedMs: number;
  /** How long the one whose turn it is waits for the votes that others still have, in milliseconds. */
  readonly windowMs: number;
  /** Whether it may stand in line. */
  readonly patient: boolean;
}

/** `later`: to be asked when it is its turn at the gate. `spared`: not asked, for it does not answer at present. */
type Answered = 'later' | 'asked' | 'voted' | 'busy' | 'failed' | 'spared';

/**
 * Asks all servers for their votes, and comes to a verdict as soon as there is one. All ask in the same order of servers, and the first that
 * answers is the **gate**: whoever it votes for has the right to the other votes, the others give theirs back. So contenders with two votes
 * of five each do not keep each other out, and one line of waiters is enough.
 */
export class Campaign {
  readonly #sentAt: number;
  readonly #state: Answered[];
  /** Servers that had something new while they were asked. */
  readonly #again = new Set<number>();
  readonly #errors = new Map<number, unknown>();
  #gate: number | undefined;
  #inLines: boolean;
  #closing: (() => void) | undefined;
  #decide!: (verdict: Verdict) => void;
  #decided = false;

  /** @param order the servers in the order in which they are gates: those out of reach are left out */
  constructor(
    private readonly contender: Contender,
    private readonly order: readonly number[],
    private readonly options: CampaignOptions,
  ) {
    this.#sentAt = options.now();
    this.#state = contender.seats.map(() => 'spared');
    this.#inLines = contender.everywhere;
    this.#gate = order[0];
  }

  /** When it began: every vote that it counts was asked for after that. */
  get sentAt(): number {
    return this.#sentAt;
  }

  /**
   * @param asked the servers to ask; the others count as silent
   * @param gateFirst asks the others only when it is its turn: for one that stands in line already, or is to expect others
   */
  run(asked: readonly number[], gateFirst: boolean): Promise<Verdict> {
    return new Promise((resolve) => {
      this.#decide = (verdict) => {
        this.#decided = true;
        this.#closing?.();
        resolve(verdict);
      };
      for (const index of asked) this.#state[index] = gateFirst && index !== this.#gate ? 'later' : 'asked';
      for (const index of asked) if (this.#state[index] === 'asked') this.#ask(index);
      this.#look();
    });
  }

  /** This server may have something new: a push, or an answer that came late. */
  word(index: number): void {
    const state = this.#state[index];
    // A push may overtake the answer that says "not yet".
    if (state === 'asked') this.#again.add(index);
    else if (!this.#decided && state !== 'later') this.#ask(index);
  }

  /** Gives up. */
  stop(error: Error): void {
    if (!this.#decided) this.#decide({ kind: 'unknown', error });
  }

  #ask(index: number): void {
    const { ttl, believedMs, patient } = this.options;
    const ballot: Ballot = { ttl, believedMs, wait: this.#inLines || (patient && index === this.#gate) };
    this.#state[index] = 'asked';
    void this.contender.ask(index, ballot).then((asked) => this.#answered(index, asked));
  }

  #answered(index: number, asked: Asked): void {
    if (this.#decided) return;
    if (!asked.ok) {
      this.#errors.set(index, asked.error);
      this.#state[index] = 'failed';
    } else {
      const seat = this.contender.seats[index];
      const again = this.#again.delete(index) && !(seat && seat.until >= this.#needed);
      if (again) return this.#ask(index);
      this.#state[index] = seat && seat.until >= this.#needed ? 'voted' : 'busy';
    }
    this.#look();
  }

  /** Votes count that last as long as is going to be believed. */
  get #needed(): number {
    return this.#sentAt + this.options.believedMs;
  }

  #look(): void {
    const { majority } = this.options;
    const votes = this.contender.votes(this.#needed);
    let [open, later, busy] = [0, 0, 0];
    for (const state of this.#state) {
      if (state === 'asked') open++;
      else if (state === 'later') later++;
      else if (state === 'busy') busy++;
    }
    // Whatever those say that have not answered: too few are left.
    if (votes + open + later + busy < majority) return this.#decide(this.#silence());
    const gate = this.#passGate();
    if (later > 0) {
      if (gate !== undefined && this.#state[gate] === 'asked') return;
      if (gate !== undefined && this.#state[gate] === 'busy') return this.#behind(gate);
      // Its turn has come, or the gate is out of reach.
      this.#inLines = gate !== undefined && this.#state[gate] === 'voted';
      this.contender.everywhere ||= this.#inLines;
      for (const [index, state] of this.#state.entries()) if (state === 'later') this.#ask(index);
      return;
    }
    if (gate === undefined) {
      // Nobody is left that could say whose turn it is.
      if (open === 0) this.#decide(votes >= majority ? { kind: 'majority' } : this.#silence());
      return;
    }
    const state = this.#state[gate];
    if (state === 'asked') return;
    if (state === 'busy') return this.#behind(gate);
    if (votes >= majority) return this.#decide({ kind: 'majority' });
    if (votes + open >= majority && !this.#inLines) return;
    this.#standInLines();
  }

  /** The first in the order that did not fail. */
  #passGate(): number | undefined {
    const gate = this.order.find((index) => this.#state[index] !== 'failed' && this.#state[index] !== 'spared');
    if (gate !== this.#gate && gate !== undefined) {
      this.#gate = gate;
      // Asked without a waiter, it does not have it in line.
      if (this.#state[gate] === 'busy' && this.options.patient && !this.#inLines) this.#ask(gate);
    }
    return gate;
  }

  #behind(gate: number): void {
    const said = this.contender.seats[gate]?.said;
    this.contender.standAt(gate);
    this.#decide({ kind: 'behind', said: said ?? { granted: false } });
  }

  /** It is its turn. The others are to give their votes to nobody else. */
  #standInLines(): void {
    if (this.#inLines) {
      if (!this.#closing && !this.#state.includes('asked')) this.#close();
      return;
    }
    this.#inLines = true;
    this.contender.everywhere = true;
    this.contender.standAt(this.#gate);
    this.#close();
    for (const [index, state] of this.#state.entries()) if (state === 'busy') this.#ask(index);
  }

  #close(): void {
    this.#closing = this.options.after(this.options.windowMs, () => {
      if (this.#decided) return;
      const holder = this.#holder();
      this.#decide(holder === undefined ? { kind: 'split' } : { kind: 'next', holder });
    });
  }

  /** The one whom a majority of servers names as the holder. */
  #holder(): string | undefined {
    const named = new Map<string, number>();
    for (const { said } of this.contender.seats) {
      if (!said || 'limit' in said || said.holder === undefined) continue;
      const holder = ownerOf(said.holder);
      named.set(holder, (named.get(holder) ?? 0) + 1);
    }
    for (const [holder, count] of named) if (count >= this.options.majority) return holder;
    return undefined;
  }

  #silence(): Verdict {
    const failures = this.contender.seats.flatMap(({ node }, index) => {
      const state = this.#state[index];
      if (state === 'failed') return [{ node: node.name, error: this.#errors.get(index) }];
      return state === 'spared' ? [{ node: node.name, error: new Error(OUT_OF_REACH) }] : [];
    });
    return { kind: 'unknown', error: new QuorumError(failures, this.contender.seats.length) };
  }
}
