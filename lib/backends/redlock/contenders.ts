import type { Attempt, Claim, Grant, Surroundings, Waiter } from '../backend.js';
import { Campaign, type Verdict } from './campaign.js';
import { ContendedKeys } from './contended-keys.js';
import { Contender, type ContenderListener, type Seat } from './contender.js';
import { storeToken } from './fencing.js';
import { confirm } from './holding.js';
import type { Node } from './node.js';
import { ownerOf } from './owners.js';
import { decide } from './tally.js';

export interface ContendersOptions extends Surroundings {
  readonly nodes: readonly Node[];
  readonly majority: number;
  /** A lease as the servers are asked for it. */
  readonly stretched: (ttl: number) => number;
  readonly fencing: boolean;
}

/** How long the one whose turn it is waits for the votes of others, in milliseconds: by chance, so that no two give up together. */
const WINDOW_MS = [60, 180] as const;
export const LONGEST_WINDOW_MS = 700;
/** How soon at first and how slowly at most one asks again that gave its votes back, in milliseconds. */
const AFTER_SPLIT_MS = [5, 500] as const;

const released = (): Verdict => ({ kind: 'unknown', error: new Error('it was released') });

/**
 * Everybody in this process who asks for votes, waits for them or has them.
 *
 * Only votes that were asked for after the claim began to ask are counted, each believed from its own sending on; so whoever is told of a
 * grant has a majority for as long as it believes in, and two majorities share a server, which votes for one at a time.
 */
export class Contenders implements ContenderListener {
  readonly #byOwner = new Map<string, Contender>();
  readonly #campaigns = new Map<Contender, Campaign>();
  readonly #contended: ContendedKeys;
  #numbers = 0;

  constructor(private readonly options: ContendersOptions) {
    this.#contended = new ContendedKeys(this.#now);
  }

  get(owner: string): Contender | undefined {
    return this.#byOwner.get(owner);
  }

  nextNumber(): number {
    return ++this.#numbers;
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    const at = this.#now();
    let contender = this.#byOwner.get(claim.owner);
    if (!contender || contender.gone) {
      contender = new Contender(claim, this.options.nodes, this.#now, this);
      this.#byOwner.set(claim.owner, contender);
    }
    if (waiter) contender.waiter = waiter;
    const asking = contender;
    return this.#inTurn(asking, async () => this.#answer(asking, await this.#campaign(asking, claim.ttl), at));
  }

  async release(claim: Claim, keepMs: number): Promise<boolean> {
    const contender = this.#byOwner.get(claim.owner);
    if (!contender) return false;
    const polls = contender.release(keepMs);
    this.#campaigns.get(contender)?.stop(new Error('it was released'));
    void contender.settled().then(() => this.#forget(contender));
    // Whoever asks next asks the gate first, and a gate that has not heard of the release would send it away.
    const gate = polls[this.options.nodes.findIndex(({ canBeGate }) => canBeGate)];
    const [held] = await Promise.all([decide(polls, this.options.majority), gate?.answer.catch(() => undefined)]);
    // Told once: asked again, it holds nothing any more.
    const again = contender.releaseTold;
    contender.releaseTold = true;
    return held && !again;
  }

  /** A server has something new for a claim that waits: its turn may have come. */
  onWord(contender: Contender, index: number, granted: boolean): void {
    const campaign = this.#campaigns.get(contender);
    if (campaign) return campaign.word(index);
    if (contender.gone || contender.held || !contender.waiter) return;
    if (index !== contender.gate && !contender.everywhere) return;
    if (granted) void this.#inTurn(contender, () => this.#turn(contender));
    else contender.waiter.look();
  }

  /** A server is out of reach, or is back: those who wait there look again. */
  onDoubt(node: Node): void {
    for (const { gate, waiter, seats } of this.#byOwner.values())
      if (gate !== undefined && seats[gate]?.node === node) waiter?.look();
  }

  /** Those to ask: without those that did not answer lately, as long as the others are enough. */
  reachable(): readonly number[] {
    const { nodes, majority } = this.options;
    const all = [...nodes.keys()];
    const answering = all.filter((index) => !nodes[index]?.suspect);
    return answering.length >= majority ? answering : all;
  }

  readonly #now = (): number => this.options.clock.now();

  /** One after the other for each claim, and what follows from one before the next: what one gives back, another must not count. */
  #inTurn<T>(contender: Contender, job: () => Promise<T>): Promise<T> {
    const done = contender.turn.then(job);
    contender.turn = done.catch(() => undefined);
    return done;
  }

  /** What the engine is told. One without a waiter that comes to nothing leaves nothing. */
  #answer(contender: Contender, verdict: Verdict, at: number): Attempt {
    const patient = contender.waiter !== undefined;
    switch (verdict.kind) {
      case 'majority':
        return grantOf(contender, at);
      case 'behind': {
        contender.withdrawAll(patient ? contender.gate : undefined);
        if (!patient) this.#forget(contender);
        const { said } = verdict;
        if ('limit' in said) return said;
        const { holder, ahead: _, ...busy } = said;
        return { ...busy, at, ...(holder !== undefined && { holder: ownerOf(holder) }) };
      }
      case 'next': {
        const retryAfterMs = Math.min(...contender.seats.map(({ said }) => lookAfter(said)));
        if (!patient) this.#giveUp(contender);
        return { granted: false, at, retryAfterMs, holder: verdict.holder };
      }
      case 'split': {
        const retryAfterMs = this.#giveWay(contender);
        if (!patient) this.#forget(contender);
        return { granted: false, at, retryAfterMs };
      }
      default:
        if (verdict.kind === 'unknown') contender.withdrawAll();
        throw verdict.error;
    }
  }

  /** Its turn has come where it waits: now for the other votes, as far as a pushed grant goes. */
  async #turn(contender: Contender): Promise<void> {
    if (contender.gone || contender.held) return;
    const { waiter } = contender;
    const at = this.#now();
    contender.everywhere = true;
    const verdict = await this.#campaign(contender, contender.claim.claimTtl);
    if (contender.gone) return;
    switch (verdict.kind) {
      case 'majority':
        return waiter?.granted(grantOf(contender, at));
      case 'behind':
        // It was not its turn after all: how things are is for the engine to ask.
        contender.withdrawAll(contender.gate);
        return waiter?.look();
      case 'next':
      case 'unconfirmed':
        return;
      case 'split':
        this.#giveWay(contender);
        return waiter?.look();
      case 'unknown':
        contender.withdrawAll();
        return waiter?.look();
    }
  }

  async #campaign(contender: Contender, ttl: number): Promise<Verdict> {
    if (contender.gone) return released();
    if (contender.held) {
      const confirmed = await confirm(contender, ttl, { ...this.options, reachable: new Set(this.reachable()) });
      if (confirmed) return confirmed;
      // Its lease has ended, and others may have been in since.
      contender.held = false;
    }
    const { nodes, majority, clock, stretched, fencing } = this.options;
    const all = [...nodes.keys()];
    const gates = all.filter((index) => nodes[index]?.canBeGate);
    const campaign = new Campaign(contender, gates.length > 0 ? gates : all, {
      majority,
      now: this.#now,
      after: (ms, run) => clock.after(ms, run),
      ttl: stretched(ttl),
      believedMs: ttl,
      windowMs: this.#window(contender),
      patient: contender.waiter !== undefined,
    });
    // One that moved on to another gate leaves the line at the old one.
    if (contender.gate !== undefined && !contender.everywhere && contender.gate !== gates[0]) {
      contender.withdraw(contender.gate).catch(() => undefined);
      contender.standAt(undefined);
    }
    const { key } = contender.claim;
    const gateFirst = !contender.everywhere && (contender.gate !== undefined || this.#contended.has(key));
    // It waited for somebody, and others may wait behind it.
    if (contender.gate !== undefined) this.#contended.add(key);
    this.#campaigns.set(contender, campaign);
    const verdict = await campaign.run(this.reachable(), gateFirst);
    this.#campaigns.delete(contender);
    if (verdict.kind !== 'majority') {
      this.#contended.add(key);
      return verdict;
    }
    if (fencing && !contender.gone) {
      contender.fencingToken = undefined;
      try {
        await storeToken(contender, campaign.sentAt + ttl, majority);
      } catch (error) {
        return { kind: 'unknown', error };
      }
    }
    if (contender.gone) return released();
    contender.held = true;
    contender.splits = 0;
    contender.standAt(undefined);
    return verdict;
  }

  #window({ splits }: Contender): number {
    const [least, most] = WINDOW_MS;
    return Math.min((least + this.options.random() * (most - least)) * 2 ** splits, LONGEST_WINDOW_MS);
  }

  /** Gives all votes back, for others to get theirs together. Returns how soon to ask again, in milliseconds. */
  #giveWay(contender: Contender): number {
    contender.splits++;
    contender.withdrawAll();
    const [least, most] = AFTER_SPLIT_MS;
    return Math.min(least * 2 ** contender.splits, most) * (0.5 + this.options.random());
  }

  #giveUp(contender: Contender): void {
    contender.withdrawAll();
    this.#forget(contender);
  }

  #forget(contender: Contender): void {
    const { owner } = contender.claim;
    if (this.#byOwner.get(owner) === contender) this.#byOwner.delete(owner);
  }
}

function grantOf({ fencingToken }: Contender, at: number): Grant {
  return fencingToken === undefined ? { granted: true, at } : { granted: true, at, fencingToken };
}

const lookAfter = (said: Seat['said']): number =>
  said && !('limit' in said) && said.retryAfterMs !== undefined ? said.retryAfterMs : 1_000;
