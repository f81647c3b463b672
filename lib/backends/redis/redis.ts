import type { Attempt, Busy, Claim, Clash, Grant, Holder, KeyBackend, KeyState, Traits, Waiter } from '../backend.js';
import { Inbox } from './inbox.js';
import type { RedisLink } from './link.js';
import { scripts, type Script } from './scripts.js';

export const redisTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  minTtl: 100,
  // Replication is asynchronous: the lock of a master that died before its replica had it is gone.
  survivesFailover: false,
} as const satisfies Traits;

/** One Redis server, or a primary with replicas, through scripts that each answer one question in one round trip. */
export class RedisBackend implements KeyBackend {
  readonly family = 'key';
  readonly kind = 'redis';
  readonly traits: Traits = redisTraits;
  readonly #inbox = new Inbox();

  /**
   * @param link how to reach the server
   * @param counterTtl how long a lock's fencing counter outlives its last holder, in milliseconds
   */
  constructor(
    private readonly link: RedisLink,
    private readonly counterTtl: number,
  ) {}

  ping(): Promise<void> {
    return this.link.ping();
  }

  async attempt(claim: Claim, waiter?: Waiter): Promise<Attempt> {
    if (!waiter) return this.#attempt(claim, false);
    const stands = this.#inbox.stands(claim.owner);
    this.#inbox.expect(claim, waiter, stands);
    if (stands) return this.#attempt(claim, true);
    // The first time a process waits, its inbox has to stand before it may join a line.
    const answer = await this.#attempt(claim, false);
    if (answer.granted || 'limit' in answer) return answer;
    await this.#inbox.rising(claim.owner, this.link);
    // Given up meanwhile, it must not join a line that nobody would take it out of.
    if (!this.#inbox.expects(claim.owner, waiter)) return answer;
    this.#inbox.expect(claim, waiter, true);
    return this.#attempt(claim, true);
  }

  async attemptAll(claims: readonly Claim[]): Promise<readonly Grant[] | Busy | Clash> {
    const answer = await this.#run(
      scripts.attemptAll,
      claims.map((claim) => claim.key),
      [this.counterTtl, ...claims.flatMap((claim) => [claim.owner, letter(claim), claim.limit, whole(claim.ttl)])],
    );
    if (Number(answer[0]) !== 1) {
      const outcome = this.#outcome(answer);
      if (!outcome.granted) return outcome;
    }
    return answer.slice(2).map((token) => ({ granted: true, fencingToken: toToken(token), at: toStamp(answer[1]) }));
  }

  async renew(claims: readonly Claim[]): Promise<readonly boolean[]> {
    const answer = await this.#run(
      scripts.renew,
      claims.map((claim) => claim.key),
      [this.counterTtl, ...claims.flatMap((claim) => [claim.owner, whole(claim.ttl)])],
    );
    return claims.map((_, index) => Number(answer[index]) === 1);
  }

  async release(claim: Claim, keepMs = 0): Promise<boolean> {
    this.#inbox.forget(claim.owner);
    const answer = await this.#serving(claim.key, scripts.release, [claim.owner, whole(keepMs), this.counterTtl]);
    this.#deliver(answer, 2, toStamp(answer[1]));
    return Number(answer[0]) === 1;
  }

  async downgrade(claim: Claim): Promise<boolean> {
    const answer = await this.#serving(claim.key, scripts.downgrade, [claim.owner, this.counterTtl]);
    this.#deliver(answer, 2, toStamp(answer[1]));
    return Number(answer[0]) === 1;
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = await this.#run(scripts.force, [key], [this.counterTtl]);
    // Those of this process may have no inbox yet; being told twice does no harm.
    for (const owner of victims) this.#inbox.lost(String(owner));
    return victims.length > 0;
  }

  async inspect(key: string): Promise<KeyState> {
    const [limit, waiting, shared, ...rest] = await this.#run(scripts.inspect, [key], []);
    const holders: Holder[] = [];
    for (let i = 0; i + 2 < rest.length; i += 3) {
      holders.push({ owner: String(rest[i]).replace(/~$/, ''), fencingToken: toToken(rest[i + 1]), remainingMs: Number(rest[i + 2]) });
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
    const answer = await this.#serving(claim.key, scripts.attempt, [
      claim.owner,
      letter(claim),
      claim.limit,
      whole(claim.ttl),
      whole(claim.claimTtl),
      join ? 1 : 0,
      this.counterTtl,
    ]);
    const outcome = this.#outcome(answer);
    if (outcome.granted || 'limit' in outcome) this.#inbox.forget(claim.owner);
    if (!('limit' in outcome)) this.#deliver(answer, outcome.granted ? 3 : 4, toStamp(answer[2]));
    return outcome;
  }

  /** Runs a script whose answer may bring grants to other waiters of this instance: if it is lost, they look for themselves. */
  async #serving(key: string, script: Script, args: readonly (string | number)[]): Promise<readonly unknown[]> {
    try {
      return await this.#run(script, [key], args);
    } catch (error) {
      this.#inbox.missed(key);
      throw error;
    }
  }

  async #run(script: Script, names: readonly string[], args: readonly (string | number)[]): Promise<readonly unknown[]> {
    const answer = await this.link.run(script, names.flatMap(keysOf), args);
    if (!Array.isArray(answer)) throw new TypeError(`Redis answered a lock script with ${typeof answer}; is a proxy in between?`);
    return answer;
  }

  #outcome(answer: readonly unknown[]): Attempt {
    const [status, first, at, holder] = answer;
    if (Number(status) === 1) return { granted: true, fencingToken: toToken(first), at: toStamp(at) };
    if (Number(status) === -1) return { granted: false, limit: Number(first) };
    const busy = { granted: false, retryAfterMs: Number(first), at: toStamp(at) } as const;
    return holder ? { ...busy, holder: String(holder) } : busy;
  }

  /** Grants to other waiters of this instance come with the answer: owner, token, owner, token… */
  #deliver(answer: readonly unknown[], from: number, at: number): void {
    for (let i = from; i + 1 < answer.length; i += 2) this.#inbox.grant(String(answer[i]), toToken(answer[i + 1]), at);
  }
}

/**
 * The three keys of a lock. They share the hash tag, which is the whole name; its braces are escaped, because a tag ends at the
 * first closing brace and an empty one is none.
 */
function keysOf(name: string): string[] {
  const tag = `{${AWKWARD.test(name) ? name.replace(AWKWARD_ALL, encodeURIComponent) : name}}`;
  return [tag, `${tag}:line`, `${tag}:shared`];
}

const AWKWARD = /[%{}]/;
const AWKWARD_ALL = /[%{}]/g;

const letter = (claim: Claim): 'x' | 's' | 'p' => (claim.limit > 1 ? 'p' : claim.mode === 'shared' ? 's' : 'x');
/** Redis takes whole milliseconds; a part of one is given to the holder. */
const whole = (milliseconds: number): number => Math.ceil(milliseconds);
/** The scripts stamp in microseconds, the port in milliseconds. */
const toStamp = (microseconds: unknown): number => Number(microseconds) / 1000;
const toToken = (value: unknown): bigint => BigInt(typeof value === 'number' ? value : String(value));
