import type { Busy, Claim, Conflict, Grant, Waiter } from '../backend.js';
import type { Node } from './node.js';
import { voteOwner } from './owners.js';
import type { Poll } from './tally.js';

/** What one server may have for a claim. */
export interface Seat {
  readonly node: Node;
  /** The name of its vote ends in it; a new one each time that it was taken back. */
  number: number;
  /** Until when the server surely keeps the vote, by our clock; `-Infinity` where it gave none. */
  until: number;
  fencingToken: bigint | undefined;
  /** What it said when it gave no vote. */
  said: Busy | Conflict | undefined;
  /** Whether it may have something to take back: a vote, a place in line, or a question that it did not answer. */
  dirty: boolean;
  /** When the question of the last answer that counted was sent. */
  heardFrom: number;
}

/** What it takes to ask a server for its vote. */
export interface Ballot {
  /** Lease in milliseconds as the server is asked for it. */
  readonly ttl: number;
  /** How long the vote is believed from its sending on, in milliseconds. */
  readonly believedMs: number;
  /** Whether to stand in line at this server. */
  readonly wait: boolean;
}

/** The end of an asking, whichever way: what comes of it stands in the seat. */
export type Asked = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

export interface ContenderListener {
  /** This server has something new for the claim: a vote (`granted`), or a reason to ask. */
  onWord(contender: Contender, index: number, granted: boolean): void;
  /** A number that no vote of this process had. */
  nextNumber(): number;
}

/** A release at one server. */
interface Release {
  readonly node: Node;
  readonly claim: Claim;
  readonly keepMs: number;
  /** Whether the claim had a vote there; `undefined` while that is not known. */
  held: boolean | undefined;
}

/** One claim before all servers: what each of them may have for it. Knows no majority. */
export class Contender {
  readonly seats: readonly Seat[];
  waiter: Waiter | undefined;
  /** Whether a majority has it. */
  held = false;
  fencingToken: bigint | undefined;
  /** Servers that are just now asked for a vote which they have forgotten. */
  readonly healing = new Set<Seat>();
  /** Whether somebody was told that it is released. */
  releaseTold = false;
  /** Whether it stands in line everywhere, and not only at one server. */
  everywhere = false;
  /** How often in a row it gave up its votes because of others. */
  splits = 0;
  /** One campaign at a time: settles when the last one is over. */
  turn: Promise<unknown> = Promise.resolve();
  #gate: number | undefined;
  #releases: readonly Release[] | undefined;

  constructor(
    public claim: Claim,
    nodes: readonly Node[],
    private readonly now: () => number,
    private readonly listener: ContenderListener,
  ) {
    this.seats = nodes.map((node) => ({ node, heardFrom: -Infinity, ...freshVote(listener.nextNumber()) }));
  }

  /** Given up or released: whatever still comes is taken back. */
  get gone(): boolean {
    return this.#releases !== undefined;
  }

  /** The server at which it waits for its turn. */
  get gate(): number | undefined {
    return this.#gate;
  }

  standAt(gate: number | undefined): void {
    if (gate === this.#gate) return;
    if (this.#gate !== undefined) this.seats[this.#gate]?.node.leave();
    this.#gate = gate;
    if (gate !== undefined) this.seats[gate]?.node.stand();
  }

  /** How many votes are believed until that time. */
  votes(until: number): number {
    let votes = 0;
    for (const seat of this.seats) if (seat.until >= until) votes++;
    return votes;
  }

  /** Asks this server for its vote. Never rejects; an answer to a vote that was taken back meanwhile is taken back as well. */
  async ask(index: number, { ttl, believedMs, wait }: Ballot): Promise<Asked> {
    // Nobody would take that vote back.
    if (this.gone) return { ok: false, error: GIVEN_UP };
    const seat = this.#seat(index);
    const { node, number } = seat;
    const claim = { ...this.claimAt(seat), ttl };
    const sentAt = this.now();
    const record = (answer: Grant | Busy | Conflict): void => {
      if (number !== seat.number) {
        // Busy without a place in line leaves nothing.
        if (answer.granted || (wait && !('limit' in answer))) node.takeBack(claim).catch(() => undefined);
        return;
      }
      seat.dirty ||= answer.granted || wait;
      // Answers may overtake each other.
      if (sentAt < seat.heardFrom) return;
      seat.heardFrom = sentAt;
      if (answer.granted) {
        seat.said = undefined;
        if (seat.fencingToken === undefined || answer.fencingToken !== undefined)
          seat.fencingToken = answer.fencingToken;
        seat.until = Math.max(seat.until, sentAt + believedMs);
      } else {
        seat.said = answer;
        seat.until = -Infinity;
      }
    };
    const late = (answer: Grant | Busy | Conflict): void => {
      const current = number === seat.number;
      record(answer);
      if (current && answer.granted) this.listener.onWord(this, index, true);
    };
    try {
      const answer = await node.ask(
        () => node.backend.attempt(claim, wait ? this.#waiterAt(index, number) : undefined),
        late,
      );
      record(answer);
      return number === seat.number ? OK : { ok: false, error: GIVEN_UP };
    } catch (error) {
      if (number === seat.number) seat.dirty = true;
      // It may still arrive.
      else node.takeBack(claim).catch(() => undefined);
      return { ok: false, error };
    }
  }

  /** Takes back what this server may have; from here on nothing that it says of it counts. Resolves to whether it had a vote. */
  withdraw(index: number, keepMs = 0): Promise<boolean> {
    const seat = this.#seat(index);
    const claim = this.claimAt(seat);
    const { dirty, node } = seat;
    this.#renew(seat);
    return dirty ? node.takeBack(claim, keepMs) : Promise.resolve(false);
  }

  /** Releases at every server. Called again, it asks those that have not confirmed it. For each whether it had a vote. */
  release(keepMs: number): readonly Poll<boolean>[] {
    this.standAt(undefined);
    this.#releases ??= this.seats.map((seat): Release => {
      const { node, dirty } = seat;
      const claim = this.claimAt(seat);
      this.#renew(seat);
      return { node, claim, keepMs, held: dirty ? undefined : false };
    });
    return this.#releases.map((release): Poll<boolean> => {
      const { node, claim, keepMs, held } = release;
      const answer = async (): Promise<boolean> => held ?? (release.held = await node.takeBack(claim, keepMs));
      return { node: node.name, answer: answer() };
    });
  }

  /** Resolves when no server has anything to take back. */
  async settled(): Promise<void> {
    await Promise.all((this.#releases ?? []).map(({ node, claim }) => node.settled(claim)));
  }

  withdrawAll(except?: number): void {
    this.everywhere = false;
    for (const index of this.seats.keys()) if (index !== except) this.withdraw(index).catch(() => undefined);
    if (except === undefined) this.standAt(undefined);
  }

  /** A new vote's. What is on its way for the old one is taken back when it is answered, if there is something to take back. */
  #renew(seat: Seat): void {
    Object.assign(seat, freshVote(this.listener.nextNumber()));
  }

  claimAt({ number }: Pick<Seat, 'number'>): Claim {
    return { ...this.claim, owner: voteOwner(this.claim.owner, number) };
  }

  #waiterAt(index: number, number: number): Waiter {
    const seat = this.#seat(index);
    return {
      granted: () => {
        if (number === seat.number) this.listener.onWord(this, index, true);
        // A push of what was taken back: the release was overtaken, or is lost.
        else seat.node.takeBack(this.claimAt({ number })).catch(() => undefined);
      },
      look: () => {
        if (number === seat.number) this.listener.onWord(this, index, false);
      },
    };
  }

  #seat(index: number): Seat {
    const seat = this.seats[index];
    if (!seat) throw new RangeError(`There is no server ${index}.`);
    return seat;
  }
}

/** What nothing is known of yet. */
const freshVote = (number: number): Omit<Seat, 'node' | 'heardFrom'> => ({
  number,
  until: -Infinity,
  fencingToken: undefined,
  said: undefined,
  dirty: false,
});

const OK: Asked = { ok: true };
const GIVEN_UP = new Error('the vote was taken back meanwhile');
