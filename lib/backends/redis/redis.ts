import type { Attempt, Busy, Claim, Clash, Grant, Holder, KeyBackend, KeyState, Traits, Waiter } from '../backend.js';
import { Inbox, instanceOf } from './inbox.js';
import { isTryAgain, type RedisLink, type Replicas, type Run } from './link.js';
import { clusterScripts, INBOX, type Script, scripts } from './scripts.js';
import { tagOf } from './slots.js';

export const redisTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 100,
  // Replication is asynchronous: the lock of a master that died before its replica had it is gone.
  survivesFailover: false,
} as const satisfies Traits;

/** One Redis server, a primary with replicas, or a cluster of them, through scripts that each answer one question in one round trip. */
export class RedisBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'redis';
  readonly traits: Traits = redisTraits;
  readonly #inbox: Inbox;
  readonly #scripts: typeof scripts;
  /** Runs the scripts that take locks. */
  readonly #take: Run;
  /** Where a key lives, in a cluster: renewals are asked of each node by itself. */
  readonly nodeOf?: (key: string) => string | undefined;

  /**
   * @param link how to reach the server
   * @param counterTtl how long a lock's fencing counter outlives its last holder, in milliseconds
   * @param replicas how many replicas must have a lock before it counts; `undefined` for none
   */
  constructor(
    private readonly link: RedisLink,
    private readonly counterTtl: number,
    replicas?: Replicas,
  ) {
    this.#inbox = new Inbox(replicas && ((claim) => this.#confirm(claim)));
    this.#scripts = link.slotOf ? clusterScripts : scripts;
    this.#take = (replicas && link.onReplicas?.(replicas)) ?? link.run;
    const { nodeOf } = link;
    if (nodeOf) this.nodeOf = (key) => nodeOf(hashTag(key));
  }

  ping(): Promise<void> {
    return this.link.ping();
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, false);
    const inbox = this.#inboxesOf(claim.key) + instanceOf(claim.owner);
    const stands = this.#inbox.stands(inbox);
    this.#inbox.expect(claim, inbox, waiter, stands);
    if (stands) return this.#attempt(claim, true);
    // The first time a process waits, its inbox has to stand before it may join a line.
    const answer = await this.#attempt(claim, false);
    if (answer.granted || 'limit' in answer) return answer;
    await this.#inbox.rising(inbox, this.link);
    // Given up meanwhile, it must not join a line that nobody would take it out of.
    if (!this.#inbox.expects(claim.owner, waiter)) return answer;
    this.#inbox.expect(claim, inbox, waiter, true);
    return this.#attempt(claim, true);
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Clash | undefined> {
    const { slotOf } = this.link;
    if (slotOf && new Set(claims.map(({ key }) => slotOf(hashTag(key)))).size > 1) return undefined;
    const answer = await this.#run(
      this.#scripts.attemptAll,
      claims.map((claim) => claim.key),
      [this.counterTtl, ...claims.flatMap((claim) => [claim.owner, letter(claim), claim.limit, whole(claim.ttl)])],
      this.#take,
    );
    if (Number(answer[0]) !== 1) {
      const outcome = this.#outcome(answer);
      if (!outcome.granted) return outcome;
    }
    return answer.slice(2).map((token) => ({ granted: true, fencingToken: toToken(token), at: toStamp(answer[1]) }));
  }

  async renew(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    const { slotOf } = this.link;
    if (!slotOf) return this.#renewTogether(claims);
    // A slot may be out of reach while the others are not.
    const bySlot = new Map<number, Claim[]>();
    for (const claim of claims) {
      const slot = slotOf(hashTag(claim.key));
      const others = bySlot.get(slot);
      if (others) others.push(claim);
      else bySlot.set(slot, [claim]);
    }
    const held = new Map<Claim, boolean | undefined>();
    await Promise.all(
      [...bySlot.values()].map(async (together) => {
        const answer = await this.#renewInSlot(together);
        for (const [index, claim] of together.entries()) held.set(claim, answer[index]);
      }),
    );
    return claims.map((claim) => held.get(claim));
  }

  async #renewInSlot(claims: readonly Claim[]): Promise<readonly (boolean | undefined)[]> {
    try {
      return await this.#renewTogether(claims);
    } catch (error) {
      // Each alone can be renewed also while the slot is on its way to another node.
      if (claims.length === 1 || !isTryAgain(error)) return [];
      return (await Promise.all(claims.map((claim) => this.#renewInSlot([claim])))).map(([held]) => held);
    }
  }

  async #renewTogether(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const answer = await this.#run(
      this.#scripts.renew,
      claims.map((claim) => claim.key),
      [this.counterTtl, ...claims.flatMap((claim) => [claim.owner, whole(claim.ttl)])],
    );
    return claims.map((_, index) => Number(answer[index]) === 1);
  }

  async release(claim: Claim, keepMs = 0): Promise<boolean> {
    this.#inbox.forget(claim.owner);
    const answer = await this.#serving(claim.key, this.#scripts.release, [claim.owner, whole(keepMs), this.counterTtl]);
    this.#deliver(answer, 2, toStamp(answer[1]));
    return Number(answer[0]) === 1;
  }

  async downgrade(claim: Claim): Promise<boolean> {
    const answer = await this.#serving(claim.key, this.#scripts.downgrade, [claim.owner, this.counterTtl]);
    this.#deliver(answer, 2, toStamp(answer[1]));
    return Number(answer[0]) === 1;
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = await this.#serving(key, this.#scripts.force, [this.counterTtl]);
    // Those of this process may have no inbox yet; being told twice does no harm.
    for (const owner of victims) this.#inbox.lost(String(owner));
    return victims.length > 0;
  }

  async inspect(key: string): Promise<KeyState> {
    const [limit, waiting, shared, ...rest] = await this.#run(this.#scripts.inspect, [key], []);
    const holders: Holder[] = [];
    for (let i = 0; i + 2 < rest.length; i += 3) {
      holders.push({
        owner: String(rest[i]).replace(/~$/, ''),
        fencingToken: toToken(rest[i + 1]),
        remainingMs: Number(rest[i + 2]),
      });
    }
    const mode = Number(shared) === 1 && Number(limit) === 1 ? 'shared' : 'exclusive';
    return { mode, limit: Number(limit), holders, waiting: Number(waiting) };
  }

  onLost(listener: (owner: string) => void): () => void {
    return this.#inbox.onLost(listener);
  }

  close(): Promise<void> {
    return this.link.close();
  }

  async #attempt(claim: Claim, join: boolean): Promise<Attempt> {
    const answer = await this.#serving(
      claim.key,
      this.#scripts.attempt,
      [claim.owner, letter(claim), claim.limit, whole(claim.ttl), whole(claim.claimTtl), join ? 1 : 0, this.counterTtl],
      this.#take,
    );
    const outcome = this.#outcome(answer);
    if (outcome.granted || 'limit' in outcome) this.#inbox.forget(claim.owner);
    else this.#inbox.answered(claim.owner);
    if (!('limit' in outcome)) this.#deliver(answer, outcome.granted ? 3 : 4, toStamp(answer[2]));
    return outcome;
  }

  /** The replicas may not have a pushed grant yet: the waiter hears of it when they do. */
  async #confirm({ key, owner }: Claim): Promise<boolean> {
    const [held] = await this.#run(this.#scripts.confirm, [key], [owner], this.#take);
    return Number(held) === 1;
  }

  /** Runs a script whose answer may bring grants to other waiters of this instance: if it is lost, they look for themselves. */
  async #serving(
    key: string,
    script: Script,
    args: readonly (string | number)[],
    run?: Run,
  ): Promise<readonly unknown[]> {
    try {
      return await this.#run(script, [key], this.link.slotOf ? [...args, INBOX + this.#inboxesOf(key)] : args, run);
    } catch (error) {
      this.#inbox.missed(key, String(args[0]));
      throw error;
    }
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
    if (!Array.isArray(answer))
      throw new TypeError(`Redis answered a lock script with ${typeof answer}; is a proxy in between?`);
    return answer;
  }

  #outcome(answer: readonly unknown[]): Attempt {
    const [status, first, at, holder] = answer;
    if (Number(status) === 1) return { granted: true, fencingToken: toToken(first), at: toStamp(at) };
    if (Number(status) === -1) return { granted: false, limit: Number(first) };
    const busy = { granted: false, retryAfterMs: Number(first), at: toStamp(at) } as const;
    return typeof holder === 'string' && holder ? { ...busy, holder } : busy;
  }

  /** Grants to other waiters of this instance come with the answer: owner, token, owner, token… */
  #deliver(answer: readonly unknown[], from: number, at: number): void {
    for (let i = from; i + 1 < answer.length; i += 2) this.#inbox.grant(String(answer[i]), toToken(answer[i + 1]), at);
  }
}

/** The three keys of a lock. They share the hash tag. */
function keysOf(name: string): string[] {
  const tag = hashTag(name);
  return [tag, `${tag}:line`, `${tag}:shared`];
}

/**
 * The whole name, in the braces of a hash tag. Its own braces are escaped, because a tag ends at the first closing brace and an
 * empty one is none; but what a user put between braces comes first, so that locks that share it share a slot of a cluster.
 */
function hashTag(name: string): string {
  if (!AWKWARD.test(name)) return `{${name}}`;
  const own = OWN_TAG.exec(name)?.[0] ?? '';
  return `${own}{${name.replace(AWKWARD_ALL, encodeURIComponent)}}`;
}

const AWKWARD = /[%{}]/;
const AWKWARD_ALL = /[%{}]/g;
/** As Redis finds it: from the first opening brace to the next closing one, and not empty. */
const OWN_TAG = /(?<=^[^{]*)\{[^}]+\}/;

const letter = (claim: Claim): 'x' | 's' | 'p' => (claim.limit > 1 ? 'p' : claim.mode === 'shared' ? 's' : 'x');
/** Redis takes whole milliseconds; a part of one is given to the holder. */
const whole = (milliseconds: number): number => Math.ceil(milliseconds);
/** The scripts stamp in microseconds, the port in milliseconds. */
const toStamp = (microseconds: unknown): number => Number(microseconds) / 1000;
const toToken = (value: unknown): bigint => BigInt(typeof value === 'number' ? value : String(value));
