import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  HandOver,
  KeyBackend,
  KeyState,
  ListPage,
  ListQuery,
  TakenOver,
  Traits,
  Waiter,
} from '../backend.js';
import { allOf, attemptedOf, listOf, type Mine, type Released, releasedOf, stateOf, strangeAnswer } from './answers.js';
import { Batcher } from './batcher.js';
import { Inbox, instanceOf } from './inbox.js';
import { hashTag, keysOf } from './keys.js';
import { type RedisLink, type Replicas, type Run, whole } from './link.js';
import { clusterProtocol, INBOX, type Protocol, protocol, type Script } from './protocol/index.js';
import { listKeys } from './list.js';
import { letter } from './questions.js';
import { Renewals } from './renewals.js';
import { checkVersion, warningsOf } from './server-info.js';
import { tagOf } from './slots.js';

export const redisTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 100,
  minHold: true,
  // Replication is asynchronous: the lock of a master that died before its replica had it is gone.
  survivesFailover: false,
} as const satisfies Traits;

export interface RedisBackendOptions {
  readonly replicas?: Replicas | undefined;
  readonly forApplication?: () => RedisBackend;
  readonly address?: string | undefined;
  /** How long a server that was restarted empty gives no locks, in milliseconds: for one of several that decide by majority. */
  readonly guardMs?: number | undefined;
}

/** One Redis server, a primary with replicas, or a cluster of them, through scripts that each answer one question in one round trip. */
export class RedisBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'redis';
  readonly traits: Traits = redisTraits;
  readonly forApplication?: () => RedisBackend;
  readonly address?: string;
  readonly #inbox: Inbox;
  #checked: Promise<void> | undefined;
  readonly #protocol: Protocol;
  /** Runs the scripts that take locks. */
  readonly #take: Run;
  readonly #attempts: Batcher;
  readonly #releases: Batcher;
  readonly #renewals: Renewals;
  /** Absent with `replicas`, because a hand-over would have to wait for them too. */
  readonly handOver?: HandOver;
  /** The node of a key in a cluster. Renewals go to each node separately. */
  readonly nodeOf?: (key: string) => string | undefined;

  /**
   * @param link how to reach the server
   * @param counterTtl how long a lock's fencing counter outlives its last holder, in milliseconds
   * @param replicas how many replicas must have a lock before it counts; `undefined` for none
   * @param forApplication makes another one like this, with connections of its own
   * @param address where the server is, without user and password
   */
  constructor(
    private readonly link: RedisLink,
    counterTtl: number,
    { replicas, forApplication, address, guardMs }: RedisBackendOptions = {},
  ) {
    if (forApplication) this.forApplication = forApplication;
    if (address !== undefined) this.address = address;
    this.#inbox = new Inbox(replicas && ((claim) => this.#confirm(claim)));
    this.#protocol = link.slotOf ? clusterProtocol(counterTtl) : protocol(counterTtl, guardMs);
    this.#take = replicas ? link.onReplicas(replicas) : link.run;
    // In a cluster what goes together would have to share a slot.
    const apart = link.slotOf !== undefined;
    this.#releases = new Batcher(link.run, this.#protocol, apart);
    this.#renewals = new Renewals(link, this.#protocol);
    this.#attempts = replicas ? new Batcher(this.#take, this.#protocol, true) : this.#releases;
    if (!replicas) {
      this.handOver = {
        takeOver: (claim, from, token) => this.#takeOver(claim, from, token),
        release: (claim, from, keepMs) => this.#release(claim, from, keepMs),
      };
    }
    const { nodeOf } = link;
    if (nodeOf) this.nodeOf = (key) => nodeOf(hashTag(key));
  }

  async ping(): Promise<void> {
    await this.link.call('PING');
    await (this.#checked ??= checkVersion((...words) => this.link.call(...words)).catch((error: unknown) => {
      this.#checked = undefined;
      throw error;
    }));
  }

  warnings(): Promise<readonly string[]> {
    return warningsOf((...words) => this.link.call(...words));
  }

  list(query: ListQuery): Promise<ListPage> {
    return listKeys(this.link, query, (key) => this.inspect(key));
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, undefined);
    const inbox = this.#inboxesOf(claim.key) + instanceOf(claim.owner);
    const stands = this.#inbox.stands(inbox);
    // It is sent first and expected then: what can be done while it is on its way costs nobody time.
    const answer = this.#attempt(claim, stands ? inbox : undefined);
    this.#inbox.expect(claim, inbox, waiter, stands);
    if (stands) return answer;
    return answer.then((answer) =>
      answer.granted || 'limit' in answer ? answer : this.#standing(claim, inbox, waiter, answer),
    );
  }

  /** Opens the inbox of this process before its first wait, because a waiter without an inbox may not join a line. */
  async #standing(claim: Claim, inbox: string, waiter: Waiter, busy: Busy): Promise<Attempt> {
    await this.#inbox.rising(inbox, this.link);
    // Given up meanwhile, it must not join a line that nobody would take it out of.
    if (!this.#inbox.expects(claim.owner, waiter)) return busy;
    this.#inbox.expect(claim, inbox, waiter, true);
    return this.#attempt(claim, inbox);
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined> {
    const { slotOf } = this.link;
    if (slotOf && new Set(claims.map(({ key }) => slotOf(hashTag(key)))).size > 1) return undefined;
    const args = claims.flatMap((claim) => [claim.owner, letter(claim), claim.limit, whole(claim.ttl)]);
    const keys = claims.flatMap(({ key }) => keysOf(key));
    const [first] = claims;
    if (slotOf && first) args.push(this.#inboxArgument(first.key));
    return allOf(await this.#take(this.#protocol.attemptAll, keys, args), claims.length);
  }

  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    return this.#renewals.renew(claims);
  }

  release(claim: Claim, keepMs = 0): Promise<boolean> {
    return this.#release(claim, [], keepMs);
  }

  #release({ key, owner }: Pick<Claim, 'key' | 'owner'>, from: readonly string[], keepMs = 0): Promise<boolean> {
    const inboxes = this.#clusterInboxes(key);
    const answer = this.#releases.ask({ verb: 'release', keys: keysOf(key), owner, keepMs, from, inboxes });
    this.#inbox.forget(owner);
    return answer
      .then((answer) => {
        const { held, more } = this.#released(key, answer);
        // Nothing waits for that, because the next question would do the same.
        if (more) this.#release({ key, owner }, []).catch(() => undefined);
        return held;
      })
      .catch((error: unknown) => this.#unanswered(key, owner, error));
  }

  async downgrade(claim: Claim): Promise<boolean> {
    return this.#released(claim.key, await this.#serving(claim.key, this.#protocol.downgrade, claim.owner)).held;
  }

  async #takeOver({ key, owner, ttl }: Claim, from: readonly string[], fencingToken: bigint): Promise<TakenOver> {
    this.#inbox.forget(owner);
    const all = keysOf(key);
    // While a slot of a cluster is on its way, each key that does not exist is in the way.
    const keys = this.link.slotOf ? all.slice(0, 2) : all;
    const inboxes = undefined;
    const answer = await this.#releases.ask({ verb: 'takeOver', keys, owner, ttl, fencingToken, from, inboxes });
    // A release that stands for the takeover too gives the same answer for both.
    const held = Number(Array.isArray(answer) ? answer[0] : answer);
    if (held === 0) return 'gone';
    if (held === 1 || held === 2) return held === 1 ? 'held' : 'overtaking';
    throw strangeAnswer(answer);
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = listOf(await this.#serving(key, this.#protocol.force));
    // An owner of this process may have no inbox yet. To be told twice does no harm.
    for (const owner of victims) this.#inbox.lost(String(owner));
    return victims.length > 0;
  }

  async inspect(key: string): Promise<KeyState> {
    return stateOf(await this.link.run(this.#protocol.inspect, keysOf(key), []));
  }

  onLost(listener: (owner: string) => void): () => void {
    return this.#inbox.onLost(listener);
  }

  close(): Promise<void> {
    this.#inbox.close();
    return this.link.close();
  }

  /** @param inbox where it is told of its turn, if it joins the line */
  #attempt(claim: Claim, inbox: string | undefined): Promise<Attempt> {
    const { key, owner } = claim;
    const inboxes = this.#clusterInboxes(key);
    const joins = inbox !== undefined;
    const ups = joins ? this.#inbox.ups(inbox) : 0;
    return this.#attempts
      .ask({ verb: 'attempt', keys: keysOf(key), owner, claim, joins, inboxes })
      .then((answer) => this.#attempted(claim, answer, inbox, ups))
      .catch((error: unknown) => this.#unanswered(key, owner, error));
  }

  #attempted({ key, owner }: Claim, answer: unknown, inbox: string | undefined, ups: number): Attempt {
    const { outcome, mine, deaf, madeMs = 0 } = attemptedOf(answer);
    this.#inbox.answered(key);
    if (inbox !== undefined && (deaf || madeMs > PUSH_MS)) this.#inbox.deaf(inbox, ups);
    if (outcome.granted || 'limit' in outcome) this.#inbox.forget(owner);
    if (!('limit' in outcome)) this.#deliver(mine, outcome.at);
    const isNext = !outcome.granted && 'ahead' in outcome && outcome.ahead === outcome.holder;
    if (isNext && inbox !== undefined && this.#inbox.isSilent(inbox))
      return { ...outcome, retryAfterMs: UNHEARD_LOOK_MS };
    return outcome;
  }

  /** The answer of a release, or of a script that answers like it. */
  #released(key: string, answer: unknown): Released {
    const released = releasedOf(answer);
    this.#inbox.answered(key);
    this.#deliver(released.mine, released.at);
    return released;
  }

  /** The answer may have brought grants to other waiters of this instance: they look for themselves. */
  #unanswered(key: string, owner: string | undefined, error: unknown): never {
    this.#inbox.missed(key, owner);
    throw error;
  }

  /** The replicas may not have a pushed grant yet: the waiter hears of it when they do. */
  async #confirm({ key, owner }: Claim): Promise<boolean> {
    const [held] = listOf(await this.#take(this.#protocol.confirm, keysOf(key), [owner]));
    return Number(held) === 1;
  }

  /** Runs a script whose answer may bring grants to other waiters of this instance. */
  async #serving(key: string, script: Script, ...args: string[]): Promise<unknown> {
    try {
      return await this.link.run(script, keysOf(key), this.link.slotOf ? [...args, this.#inboxArgument(key)] : args);
    } catch (error) {
      return this.#unanswered(key, args[0], error);
    }
  }

  /** As `inboxes` of a question. */
  #clusterInboxes(key: string): string | undefined {
    return this.link.slotOf ? this.#inboxArgument(key) : undefined;
  }

  /** What the scripts put before an instance to have the channel of its inbox; only in a cluster does it depend on the key. */
  #inboxArgument(key: string): string {
    return INBOX + this.#inboxesOf(key);
  }

  /** The beginning of the inboxes' names for this key: nothing, or in a cluster the tag of its slot. The name of the process follows. */
  #inboxesOf(key: string): string {
    const { slotOf } = this.link;
    return slotOf ? `{${tagOf(slotOf(hashTag(key)))}}` : '';
  }

  /** Grants to other waiters of this instance come with the answer. */
  #deliver(mine: readonly Mine[], at = 0): void {
    for (const { owner, fencingToken } of mine) this.#inbox.grant(owner, fencingToken, at);
  }
}

/** How long a push may take, in milliseconds: a grant that is older, and was found by a look, was pushed in vain. */
const PUSH_MS = 900;

/** How soon the next in line looks again while no push comes. */
const UNHEARD_LOOK_MS = 500;
