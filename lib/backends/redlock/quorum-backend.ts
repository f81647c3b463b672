import type {
  Attempt,
  Claim,
  Grant,
  KeyBackend,
  KeyState,
  ListPage,
  ListQuery,
  Surroundings,
  Traits,
  Waiter,
} from '../backend.js';
import { Campaign, type Verdict } from './campaign.js';
import { Contender, type ContenderListener, type Seat } from './contender.js';
import { OUT_OF_REACH } from './failure.js';
import { storeToken } from './fencing.js';
import { listPage } from './listing.js';
import { Node } from './node.js';
import { ownerOf } from './owners.js';
import { renewAll } from './renewals.js';
import { mergedState } from './states.js';
import { answersOf, decide, type Poll } from './tally.js';

export interface QuorumSettings {
  readonly kind: string;
  readonly members: readonly KeyBackend[];
  readonly names: readonly string[];
  readonly traits: Traits;
  /** How long one server's answer may take, in milliseconds. */
  readonly nodeTimeoutMs: number;
  /** How much longer than it is believed a lease is asked for, as a factor. */
  readonly stretch: number;
  readonly fencing: boolean;
  readonly surroundings: Surroundings;
  /** Makes another one like this, with connections of its own. */
  readonly forApplication: (surroundings?: Surroundings) => QuorumBackend;
}

/** How long the one whose turn it is waits for the votes of others, in milliseconds: by chance, so that no two give up together. */
const WINDOW_MS = [60, 180] as const;
const LONGEST_WINDOW_MS = 700;
/** How soon at first and how slowly at most one asks again that gave its votes back, in milliseconds. */
const AFTER_SPLIT_MS = [5, 500] as const;
/** How long closing waits for releases that are not confirmed, in milliseconds. */
const LAST_RELEASES_MS = 500;

/**
 * A lock that a majority of independent servers grants, as in Redlock. The servers are backends of ours, which know nothing of each other.
 *
 * Only votes that were asked for after the claim began to ask are counted, each believed from its own sending on; so whoever is told of a
 * grant has a majority for as long as it believes in, and two majorities share a server, which votes for one at a time.
 */
export class QuorumBackend implements KeyBackend, ContenderListener {
  readonly family = 'key';
  readonly kind: string;
  readonly address: string;
  readonly traits: Traits;
  readonly patienceMs: number;
  readonly forApplication: (surroundings?: Surroundings) => QuorumBackend;
  readonly downgrade?: NonNullable<KeyBackend['downgrade']>;
  readonly list?: NonNullable<KeyBackend['list']>;
  readonly #nodes: readonly Node[];
  readonly #majority: number;
  readonly #contenders = new Map<string, Contender>();
  readonly #campaigns = new Map<Contender, Campaign>();
  readonly #lostListeners = new Set<(owner: string) => void>();
  readonly #stopListening: readonly (() => void)[];
  readonly #surroundings: Surroundings;
  #numbers = 0;

  constructor(private readonly settings: QuorumSettings) {
    const { members, names, nodeTimeoutMs, surroundings } = settings;
    this.kind = settings.kind;
    this.traits = settings.traits;
    this.address = names.join(', ');
    this.forApplication = settings.forApplication;
    this.#surroundings = surroundings;
    this.#majority = Math.floor(members.length / 2) + 1;
    // Two questions one after the other, the window for the votes of others, and a second round for the token.
    this.patienceMs = Math.max(2_000, 4 * nodeTimeoutMs + LONGEST_WINDOW_MS);
    this.#nodes = members.map(
      (member, index) =>
        new Node(member, {
          name: names[index] ?? `server ${index + 1}`,
          clock: surroundings.clock,
          limitMs: nodeTimeoutMs,
          onDoubt: (node) => this.#doubt(node),
        }),
    );
    if (settings.traits.modes.includes('shared') && members.every(({ downgrade }) => downgrade))
      this.downgrade = (claim) => this.#downgrade(claim);
    if (members.every(({ list }) => list)) this.list = (query) => this.#list(query);
    this.#stopListening = members.flatMap(
      (member) => member.onLost?.((owner) => void this.#verify(ownerOf(owner))) ?? [],
    );
  }

  async ping(): Promise<void> {
    await answersOf(
      this.#poll(({ backend }) => backend.ping()),
      this.#majority,
    );
  }

  async warnings(): Promise<readonly string[]> {
    const answers = await answersOf(
      this.#poll(async ({ backend }) => (await backend.warnings?.()) ?? []),
      this.#majority,
    );
    return answers.flatMap((answer) =>
      'error' in answer
        ? [`${answer.node} does not answer; the locks need ${this.#majority} of ${this.#nodes.length} servers.`]
        : answer.value.map((warning) => `${answer.node}: ${warning}`),
    );
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    const at = this.#now();
    let contender = this.#contenders.get(claim.owner);
    if (!contender || contender.gone) {
      contender = new Contender(claim, this.#nodes, this.#now, this);
      this.#contenders.set(claim.owner, contender);
    }
    if (waiter) contender.waiter = waiter;
    // One that stands in line keeps its place, whoever asks.
    const patient = contender.waiter !== undefined;
    const verdict = await this.#campaign(contender, claim.ttl, patient);
    switch (verdict.kind) {
      case 'majority':
        return this.#grantOf(contender, at);
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
        const retryAfterMs = this.#split(contender);
        if (!patient) this.#forget(contender);
        return { granted: false, at, retryAfterMs };
      }
      case 'unknown':
        contender.withdrawAll();
        throw verdict.error;
      case 'unconfirmed':
        throw verdict.error;
    }
  }

  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    return renewAll(
      claims.map((claim) => ({ claim, contender: this.#contenders.get(claim.owner) })),
      {
        nodes: this.#nodes,
        reachable: new Set(this.#reachable()),
        majority: this.#majority,
        now: this.#now,
        stretched: this.#stretched,
        heal: (contender, index, ttl) => void this.#heal(contender, index, ttl),
      },
    );
  }

  async release(claim: Claim, keepMs = 0): Promise<boolean> {
    const contender = this.#contenders.get(claim.owner);
    if (!contender) return false;
    const polls = contender.release(keepMs);
    this.#campaigns.get(contender)?.stop(new Error('it was released'));
    void contender.settled().then(() => this.#forget(contender));
    return decide(polls, this.#majority);
  }

  async forceRelease(key: string): Promise<boolean> {
    const answers = await answersOf(
      this.#poll(({ backend }) => backend.forceRelease(key)),
      this.#majority,
    );
    return answers.some((answer) => !('error' in answer) && answer.value);
  }

  async inspect(key: string): Promise<KeyState> {
    const polls = this.#poll(({ backend }) => backend.inspect(key));
    return mergedState(await answersOf(polls, this.#majority), this.#majority, this.settings.fencing);
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  async close(): Promise<void> {
    for (const stop of this.#stopListening) stop();
    const { clock } = this.#surroundings;
    let cancel: (() => void) | undefined;
    const long = new Promise<void>((resolve) => (cancel = clock.after(LAST_RELEASES_MS, resolve)));
    await Promise.race([Promise.all(this.#nodes.map((node) => node.idle())), long]);
    cancel?.();
    for (const node of this.#nodes) node.close();
    await Promise.all(this.#nodes.map(({ backend }) => backend.close()));
  }

  readonly #now = (): number => this.#surroundings.clock.now();

  /** A lease as the servers are asked for it. */
  readonly #stretched = (ttl: number): number => Math.ceil(ttl * this.settings.stretch);

  /** One after the other for each claim: what one gives back, another must not count. */
  #campaign(contender: Contender, ttl: number, patient: boolean): Promise<Verdict> {
    const before = contender.campaign;
    const campaign = before.then(() => this.#runCampaign(contender, ttl, patient));
    contender.campaign = campaign.catch(() => undefined);
    return campaign;
  }

  async #runCampaign(contender: Contender, ttl: number, patient: boolean): Promise<Verdict> {
    if (contender.gone) return { kind: 'unknown', error: new Error('it was released') };
    if (contender.held) {
      const confirmed = await this.#confirm(contender, ttl);
      if (confirmed) return confirmed;
      // Its lease has ended, and others may have been in since.
      contender.held = false;
    }
    const all = [...this.#nodes.keys()];
    const gates = all.filter((index) => this.#nodes[index]?.canBeGate);
    const { clock, random } = this.#surroundings;
    const [least, most] = WINDOW_MS;
    const campaign = new Campaign(contender, gates.length > 0 ? gates : all, {
      majority: this.#majority,
      now: this.#now,
      after: (ms, run) => clock.after(ms, run),
      ttl: this.#stretched(ttl),
      believedMs: ttl,
      windowMs: Math.min((least + random() * (most - least)) * 2 ** contender.splits, LONGEST_WINDOW_MS),
      patient,
    });
    this.#campaigns.set(contender, campaign);
    // One that moved on to another gate leaves the line at the old one.
    if (contender.gate !== undefined && !contender.everywhere && contender.gate !== gates[0]) {
      contender.withdraw(contender.gate).catch(() => undefined);
      contender.standAt(undefined);
    }
    const gateFirst = contender.gate !== undefined && !contender.everywhere;
    const verdict = await campaign.run(this.#reachable(), gateFirst);
    this.#campaigns.delete(contender);
    if (verdict.kind !== 'majority') return verdict;
    if (contender.gone) return { kind: 'unknown', error: new Error('it was released') };
    if (this.settings.fencing) {
      contender.fencingToken = undefined;
      const failure = await storeToken(contender, campaign.sentAt + ttl, this.#majority);
      if (failure) return { kind: 'unknown', error: failure };
      if (contender.gone) return { kind: 'unknown', error: new Error('it was released') };
    }
    contender.held = true;
    contender.splits = 0;
    contender.standAt(undefined);
    return { kind: 'majority' };
  }

  /**
   * Asks all once more for the one who holds it. Nothing is given back, whatever they say: who holds it may have been told so, and believes it.
   * Resolves to nothing when a majority says that it is over.
   */
  async #confirm(contender: Contender, ttl: number): Promise<Verdict | undefined> {
    const needed = this.#now() + ttl;
    const ballot = { ttl: this.#stretched(ttl), believedMs: ttl, wait: false };
    const reachable = new Set(this.#reachable());
    const { fencing } = this.settings;
    const polls = contender.seats.map((seat, index): Poll<boolean> => {
      const ask = async (): Promise<boolean> => {
        if (!reachable.has(index)) throw new Error(OUT_OF_REACH);
        const asked = await contender.ask(index, ballot);
        if (!asked.ok) throw asked.error;
        // Another token is another grant: the lease had ended in between.
        return seat.until >= needed && (!fencing || seat.fencingToken === contender.fencingToken);
      };
      return { node: seat.node.name, answer: ask() };
    });
    try {
      return (await decide(polls, this.#majority)) ? { kind: 'majority' } : undefined;
    } catch (error) {
      return { kind: 'unconfirmed', error };
    }
  }

  #grantOf({ fencingToken }: Contender, at: number): Grant {
    return fencingToken === undefined ? { granted: true, at } : { granted: true, at, fencingToken };
  }

  nextNumber(): number {
    return ++this.#numbers;
  }

  /** A server has something new for a claim that waits: its turn may have come. */
  onWord(contender: Contender, index: number, granted: boolean): void {
    const campaign = this.#campaigns.get(contender);
    if (campaign) return campaign.word(index);
    if (contender.gone || contender.held || !contender.waiter) return;
    if (index === contender.gate || contender.everywhere) void this.#turn(contender, granted);
  }

  /** Its turn has come where it waits: now for the other votes, as far as a pushed grant goes. */
  async #turn(contender: Contender, granted: boolean): Promise<void> {
    const { waiter } = contender;
    const at = this.#now();
    contender.everywhere ||= granted;
    const verdict = await this.#campaign(contender, contender.claim.claimTtl, true);
    if (contender.gone) return;
    switch (verdict.kind) {
      case 'majority':
        return waiter?.granted(this.#grantOf(contender, at));
      case 'behind':
        return contender.withdrawAll(contender.gate);
      case 'next':
      case 'unconfirmed':
        return;
      case 'split':
        this.#split(contender);
        return waiter?.look();
      case 'unknown':
        contender.withdrawAll();
        return waiter?.look();
    }
  }

  /** Gives all votes back, for others to get theirs together. Returns how soon to ask again, in milliseconds. */
  #split(contender: Contender): number {
    contender.splits++;
    contender.withdrawAll();
    const [least, most] = AFTER_SPLIT_MS;
    return Math.min(least * 2 ** contender.splits, most) * (0.5 + this.#surroundings.random());
  }

  /** A server is out of reach, or is back: those who wait there look again. */
  #doubt(node: Node): void {
    for (const contender of this.#contenders.values()) {
      const { gate, waiter } = contender;
      if (gate !== undefined && contender.seats[gate]?.node === node) waiter?.look();
    }
  }

  /** Somebody's lock was taken away at one server: is it lost? */
  async #verify(owner: string): Promise<void> {
    const contender = this.#contenders.get(owner);
    if (!contender?.held) return;
    const [held] = await this.renew([contender.claim]);
    if (held === false && contender.held) for (const listener of this.#lostListeners) listener(owner);
  }

  /** A server without this holder's vote, as after a restart, gets it again if it is free. */
  async #heal(contender: Contender, index: number, ttl: number): Promise<void> {
    contender.withdraw(index).catch(() => undefined);
    const { seats } = contender;
    const asked = await contender.ask(index, { ttl: this.#stretched(ttl), believedMs: ttl, wait: false });
    const seat = seats[index];
    if (!asked.ok || !seat || seat.until === -Infinity || !contender.held || contender.fencingToken === undefined)
      return;
    const { fencingToken } = contender;
    const { backend } = seat.node;
    const answer = await seat.node
      .ask(async () => backend.takeOver?.(contender.claimAt(seat), [], fencingToken))
      .catch(() => undefined);
    if (answer !== undefined && answer !== 'gone') seat.fencingToken = fencingToken;
  }

  async #downgrade(claim: Claim): Promise<boolean> {
    const contender = this.#contenders.get(claim.owner);
    if (!contender?.held) return false;
    const polls = contender.seats.map((seat): Poll<boolean> => {
      const { node } = seat;
      const voted = seat.until > -Infinity;
      const ask = async (): Promise<boolean> => (await node.backend.downgrade?.(contender.claimAt(seat))) ?? false;
      return { node: node.name, answer: voted ? node.ask(ask) : Promise.resolve(false) };
    });
    contender.claim = { ...contender.claim, mode: 'shared' };
    return decide(polls, this.#majority);
  }

  #list(query: ListQuery): Promise<ListPage> {
    return listPage(query, this.#nodes, (key) => this.inspect(key));
  }

  #giveUp(contender: Contender): void {
    contender.withdrawAll();
    this.#forget(contender);
  }

  #forget(contender: Contender): void {
    const { owner } = contender.claim;
    if (this.#contenders.get(owner) === contender) this.#contenders.delete(owner);
  }

  #poll<T>(question: (node: Node) => Promise<T>): readonly Poll<T>[] {
    return this.#nodes.map((node) => ({ node: node.name, answer: node.ask(() => question(node)) }));
  }

  /** Those to ask: without those that did not answer lately, as long as the others are enough. */
  #reachable(): readonly number[] {
    const all = [...this.#nodes.keys()];
    const answering = all.filter((index) => !this.#nodes[index]?.suspect);
    return answering.length >= this.#majority ? answering : all;
  }
}

const lookAfter = (said: Seat['said']): number =>
  said && !('limit' in said) && said.retryAfterMs !== undefined ? said.retryAfterMs : 1_000;
