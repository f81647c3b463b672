import type {
  Attempt,
  Busy,
  Claim,
  Conflict,
  Grant,
  KeyBackend,
  KeyState,
  TakenOver,
  Traits,
  Waiter,
} from '../backend.js';
import { outcomeOf, stateOf, toStamp, toToken } from './answers.js';
import { Calls } from './calls.js';
import { Inbox, instanceOf } from './inbox.js';
import { hashTag, keysOf } from './keys.js';
import { type RedisLink, type Replicas, type Run, strangeAnswer, whole } from './link.js';
import { clusterProtocol, INBOX, type Protocol, protocol, type Script, TAKES_OVER } from './protocol/index.js';
import { Renewals } from './renewals.js';
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

/** One Redis server, a primary with replicas, or a cluster of them, through scripts that each answer one question in one round trip. */
export class RedisBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'redis';
  readonly traits: Traits = redisTraits;
  readonly #inbox: Inbox;
  readonly #protocol: Protocol;
  /** Runs the scripts that take locks. */
  readonly #take: Run;
  readonly #attempts: Calls;
  readonly #releases: Calls;
  readonly #renewals: Renewals;
  /** Not where replicas have to have a lock before it counts: they would have to be waited for here as well. */
  readonly takeOver?: NonNullable<KeyBackend['takeOver']>;
  /** Where a key lives, in a cluster: renewals are asked of each node by itself. */
  readonly nodeOf?: (key: string) => string | undefined;

  /**
   * @param link how to reach the server
   * @param counterTtl how long a lock's fencing counter outlives its last holder, in milliseconds
   * @param replicas how many replicas must have a lock before it counts; `undefined` for none
   */
  constructor(
    private readonly link: RedisLink,
    counterTtl: number,
    replicas?: Replicas,
  ) {
    this.#inbox = new Inbox(replicas && ((claim) => this.#confirm(claim)));
    this.#protocol = link.slotOf ? clusterProtocol(counterTtl) : protocol(counterTtl);
    this.#take = replicas ? link.onReplicas(replicas) : link.run;
    // In a cluster what goes together would have to share a slot.
    const apart = link.slotOf !== undefined;
    this.#releases = new Calls(link.run, this.#protocol, apart);
    this.#renewals = new Renewals(link, this.#protocol);
    this.#attempts = replicas ? new Calls(this.#take, this.#protocol, true) : this.#releases;
    if (!replicas) this.takeOver = (claim, from, token) => this.#takeOver(claim, from, token);
    const { nodeOf } = link;
    if (nodeOf) this.nodeOf = (key) => nodeOf(hashTag(key));
  }

  ping(): Promise<void> {
    return this.link.ping();
  }

  attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, false);
    const inbox = this.#inboxesOf(claim.key) + instanceOf(claim.owner);
    const stands = this.#inbox.stands(inbox);
    // It is sent first and expected then: what can be done while it is on its way costs nobody time.
    const answer = this.#attempt(claim, stands);
    this.#inbox.expect(claim, inbox, waiter, stands);
    if (stands) return answer;
    return answer.then((answer) =>
      answer.granted || 'limit' in answer ? answer : this.#standing(claim, inbox, waiter, answer),
    );
  }

  /** The first time a process waits, its inbox has to stand before it may join a line. */
  async #standing(claim: Claim, inbox: string, waiter: Waiter, busy: Busy): Promise<Attempt> {
    await this.#inbox.rising(inbox, this.link);
    // Given up meanwhile, it must not join a line that nobody would take it out of.
    if (!this.#inbox.expects(claim.owner, waiter)) return busy;
    this.#inbox.expect(claim, inbox, waiter, true);
    return this.#attempt(claim, true);
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Conflict | undefined> {
    const { slotOf } = this.link;
    if (slotOf && new Set(claims.map(({ key }) => slotOf(hashTag(key)))).size > 1) return undefined;
    const answer = await this.#run(
      this.#protocol.attemptAll,
      claims.map((claim) => claim.key),
      claims.flatMap((claim) => [claim.owner, letter(claim), claim.limit, whole(claim.ttl)]),
      this.#take,
    );
    if (Number(answer[0]) !== 1) {
      const outcome = outcomeOf(answer);
      if (!outcome.granted) return outcome;
    }
    return answer.slice(2).map((token) => ({ granted: true, fencingToken: toToken(token), at: toStamp(answer[1]) }));
  }

  renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    return this.#renewals.renew(claims);
  }

  release(claim: Claim, keepMs = 0, from: readonly string[] = []): Promise<boolean> {
    const { key, owner } = claim;
    const args = [owner];
    if (keepMs > 0 || from.length > 0 || this.link.slotOf) args.push(whole(keepMs));
    if (from.length > 0 || this.link.slotOf) args.push(numbersOf(from));
    if (this.link.slotOf) args.push(this.#inboxArgument(key));
    const answer = this.#releases.release(keysOf(key), args, from);
    this.#inbox.forget(owner);
    return answer.then(
      (answer) => this.#released(answer),
      (error: unknown) => this.#unanswered(key, owner, error),
    );
  }

  async downgrade({ key, owner }: Claim): Promise<boolean> {
    return this.#released(await this.#serving(key, this.#protocol.downgrade, owner));
  }

  async #takeOver({ key, owner, ttl }: Claim, from: readonly string[], fencingToken: bigint): Promise<TakenOver> {
    this.#inbox.forget(owner);
    const what = `${TAKES_OVER} ${fencingToken}${numbersOf(from)}`;
    const keys = keysOf(key);
    // While a slot of a cluster is on its way, each key that does not exist is in the way.
    const needed = this.link.slotOf ? keys.slice(0, 2) : keys;
    const answer = Number(await this.#releases.takeOver(needed, [owner, whole(ttl), what], from));
    return answer === 1 ? 'held' : answer === 2 ? 'overtaking' : 'gone';
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = await this.#serving(key, this.#protocol.force);
    if (!Array.isArray(victims)) throw strangeAnswer(victims);
    // Those of this process may have no inbox yet; being told twice does no harm.
    for (const owner of victims) this.#inbox.lost(String(owner));
    return victims.length > 0;
  }

  async inspect(key: string): Promise<KeyState> {
    return stateOf(await this.#run(this.#protocol.inspect, [key], []));
  }

  onLost(listener: (owner: string) => void): () => void {
    return this.#inbox.onLost(listener);
  }

  close(): Promise<void> {
    return this.link.close();
  }

  #attempt(claim: Claim, join: boolean): Promise<Attempt> {
    const { key, owner } = claim;
    const what = `${letter(claim)} ${claim.limit} ${whole(claim.claimTtl)} ${join ? 1 : 0}`;
    const args = [owner, whole(claim.ttl), what];
    if (this.link.slotOf) args.push(this.#inboxArgument(key));
    return this.#attempts.attempt(keysOf(key), args).then(
      (answer) => this.#attempted(owner, answer),
      (error: unknown) => this.#unanswered(key, owner, error),
    );
  }

  #attempted(owner: string, answer: unknown): Attempt {
    if (!Array.isArray(answer)) {
      if (typeof answer !== 'number' && !/^\d+$/.test(String(answer))) throw strangeAnswer(answer);
      this.#inbox.forget(owner);
      return { granted: true, fencingToken: toToken(answer) };
    }
    const outcome = outcomeOf(answer);
    if (outcome.granted || 'limit' in outcome) this.#inbox.forget(owner);
    else this.#inbox.answered(owner);
    if (!('limit' in outcome)) this.#deliver(answer, outcome.granted ? 3 : 5, toStamp(answer[2]));
    return outcome;
  }

  /** The answer of a release, or of a script that answers like it. */
  #released(answer: unknown): boolean {
    if (!Array.isArray(answer)) return Number(answer) === 1;
    this.#deliver(answer, 2, toStamp(answer[1]));
    return Number(answer[0]) === 1;
  }

  /** The answer may have brought grants to other waiters of this instance: they look for themselves. */
  #unanswered(key: string, owner: string | undefined, error: unknown): never {
    this.#inbox.missed(key, owner);
    throw error;
  }

  /** The replicas may not have a pushed grant yet: the waiter hears of it when they do. */
  async #confirm({ key, owner }: Claim): Promise<boolean> {
    const [held] = await this.#run(this.#protocol.confirm, [key], [owner], this.#take);
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

  /** What the scripts put before an instance to have the channel of its inbox; only in a cluster does it depend on the key. */
  #inboxArgument(key: string): string {
    return INBOX + this.#inboxesOf(key);
  }

  /** What the names of inboxes begin with for this key: nothing, or in a cluster the tag of its slot. An instance's name is the rest. */
  #inboxesOf(key: string): string {
    const { slotOf } = this.link;
    return slotOf ? `{${tagOf(slotOf(hashTag(key)))}}` : '';
  }

  async #run(
    script: Script,
    names: readonly string[],
    args: readonly (string | number)[],
    run = this.link.run,
  ): Promise<readonly unknown[]> {
    const answer = await run(script, names.flatMap(keysOf), args);
    if (Array.isArray(answer)) return answer;
    throw strangeAnswer(answer);
  }

  /** Grants to other waiters of this instance come with the answer: owner, token, owner, token… */
  #deliver(answer: readonly unknown[], from: number, at: number): void {
    for (let i = from; i + 1 < answer.length; i += 2) this.#inbox.grant(String(answer[i]), toToken(answer[i + 1]), at);
  }
}

const letter = (claim: Claim): 'x' | 's' | 'p' => (claim.limit > 1 ? 'p' : claim.mode === 'shared' ? 's' : 'x');
/** Owners of one instance, as the scripts take them: what follows its name. */
const numbersOf = (owners: readonly string[]): string =>
  owners.length === 0 ? '' : ` ${owners.map((owner) => owner.slice(owner.lastIndexOf(':') + 1)).join(' ')} `;
