import {
  type Attempt,
  type Busy,
  type Claim,
  type Conflict,
  type Grant,
  MOST_UNCONFIRMED,
  type TakenOver,
  type Waiter,
} from '../../lib/backends/backend.js';
import { LockTable } from '../../lib/backends/memory/lock-table.js';

/** As long as a place in line is kept for a silent waiter. */
const SILENCE_MS = 15_000;

interface Place {
  readonly number: number;
  heard: number;
}

interface Made {
  readonly key: string;
  readonly owner: string;
  readonly token: bigint;
  /** Whether it may come before others who stood in line before it. */
  readonly anyTime: boolean;
}

/**
 * The model server, and somebody at its door who writes down what comes in and goes out, and judges by that alone whether
 * tokens grow and nobody is overtaken.
 */
export class WitnessedTable extends LockTable {
  /** Called with the key whenever somebody lets go of it. */
  readonly freed = new Set<(key: string) => void>();
  readonly #lines = new Map<string, Map<string, Place>>();
  readonly #holders = new Map<string, Map<string, bigint>>();
  readonly #lastTokens = new Map<string, bigint>();
  /** Whoever lost a key by force: it may believe in it until it is told or asks. */
  readonly #forced = new Map<string, bigint[]>();
  readonly #wiped = new Map<string, { readonly token: bigint; readonly at: number }[]>();
  #arrivals = 0;
  #made: Made[] = [];

  constructor(
    readonly time: () => number,
    private readonly report: (violation: string) => void,
    private readonly trace: (line: string) => void,
    /** Without it a process may serve its own out of turn; the server may not. */
    private readonly fair = true,
  ) {
    super(time);
  }

  override attempt(claim: Claim, waiter?: Waiter): Attempt {
    const answer = super.attempt(claim, waiter && this.#overheard(claim, waiter));
    this.#note('attempt', claim, answer.granted ? 'granted' : 'limit' in answer ? 'another limit' : 'busy');
    if (answer.granted) this.#granted(claim, answer);
    else if (waiter && !('limit' in answer)) this.#joined(claim);
    this.#judge();
    return answer;
  }

  override attemptAll(claims: readonly Claim[]): readonly Grant[] | Busy | Conflict {
    const answer = super.attemptAll(claims);
    for (const claim of claims) this.#note('attemptAll', claim, 'granted' in answer ? 'refused' : 'granted');
    if (!('granted' in answer))
      for (const [index, claim] of claims.entries()) this.#granted(claim, answer[index] as Grant);
    this.#judge();
    return answer;
  }

  override renew(claims: readonly Claim[]): readonly boolean[] {
    const answer = super.renew(claims);
    for (const [index, claim] of claims.entries()) this.#note('renew', claim, answer[index] ? 'held' : 'gone');
    return answer;
  }

  override release(claim: Claim, keepMs?: number, from: readonly string[] = []): boolean {
    const held = super.release(claim, keepMs, from);
    this.#note('release', claim, held ? 'held' : 'gone');
    for (const owner of [...from, claim.owner]) {
      this.#lines.get(claim.key)?.delete(owner);
      this.#holders.get(claim.key)?.delete(owner);
    }
    this.#judge();
    if (held) for (const tell of this.freed) tell(claim.key);
    return held;
  }

  override downgrade(claim: Claim): boolean {
    const held = super.downgrade(claim);
    this.#note('downgrade', claim, held ? 'held' : 'gone');
    this.#judge();
    if (held) for (const tell of this.freed) tell(claim.key);
    return held;
  }

  override takeOver(claim: Claim, from: readonly string[], fencingToken: bigint): TakenOver {
    const { key, owner } = claim;
    const answer = super.takeOver(claim, from, fencingToken);
    this.#note(`take over from ${from.length}`, claim, `${answer} #${fencingToken}`);
    const [line, holders] = [mapIn(this.#lines, key), mapIn(this.#holders, key)];
    for (const before of from) {
      line.delete(before);
      holders.delete(before);
    }
    // By a forced release the server itself may have served it before it heard of this.
    const isNew = answer !== 'gone' && (holders.get(owner) ?? -1n) < fencingToken;
    // Whoever it has overtaken is served next.
    if (!isNew || answer === 'overtaking') line.delete(owner);
    if (isNew) this.#granted(claim, { granted: true, fencingToken }, !this.fair);
    this.#judge();
    return answer;
  }

  override forceRelease(key: string): readonly string[] {
    const holders = this.#holders.get(key);
    const victims = super.forceRelease(key);
    for (const owner of victims) {
      const token = holders?.get(owner);
      if (token !== undefined) this.#forced.set(key, [...(this.#forced.get(key) ?? []), token]);
    }
    this.#judge();
    if (victims.length > 0) for (const tell of this.freed) tell(key);
    return victims;
  }

  /** All that it knows of the key is gone, and nobody is told. */
  wipe(key: string): void {
    for (const owner of this.#lines.get(key)?.keys() ?? []) {
      super.release({ key, owner, mode: 'exclusive', limit: 1, ttl: 1, claimTtl: 1 });
    }
    this.#lines.delete(key);
    // By the release of a place others may have been served, who lose it here.
    this.#judge();
    const told = [...this.victims];
    this.victims.clear();
    super.forceRelease(key);
    for (const tell of told) this.victims.add(tell);
    const wiped = this.#wiped.get(key) ?? [];
    for (const token of this.#holders.get(key)?.values() ?? []) wiped.push({ token, at: this.time() });
    this.#wiped.set(key, wiped);
    this.#holders.delete(key);
  }

  /** When the server lost what it knew of that holder, if it has. */
  wipedAt(key: string, token: bigint | undefined): number | undefined {
    if (token === undefined) return undefined;
    return this.#wiped.get(key)?.find((wiped) => comesFrom(wiped.token, token))?.at;
  }

  /** The last token that was given out for the key. */
  lastToken(key: string): bigint | undefined {
    return this.#lastTokens.get(key);
  }

  wasForced(key: string, token: bigint | undefined): boolean {
    return token !== undefined && (this.#forced.get(key) ?? []).some((forced) => comesFrom(forced, token));
  }

  /** Whether the server has somebody as the holder whom this token can come from: itself, or the owner before it in its process. */
  has(key: string, instance: string, token: bigint | undefined): boolean {
    return this.inspect(key).holders.some(
      ({ owner, fencingToken }) =>
        fencingToken === token ||
        (owner.startsWith(`${instance}:`) &&
          token !== undefined &&
          fencingToken !== undefined &&
          comesFrom(fencingToken, token)),
    );
  }

  #overheard(claim: Claim, waiter: Waiter): Waiter {
    return {
      granted: (grant) => {
        this.#note('push to', claim, `#${grant.fencingToken}`);
        this.#granted(claim, grant);
        waiter.granted(grant);
      },
      look: () => waiter.look(),
    };
  }

  #note(verb: string, { key, owner }: Claim, answer: string): void {
    this.trace(`    server: ${verb} ${key} ${owner.slice(owner.lastIndexOf(':') - 4)}: ${answer}`);
  }

  #joined({ key, owner }: Claim): void {
    const line = mapIn(this.#lines, key);
    const place = line.get(owner);
    if (place && this.time() - place.heard < SILENCE_MS) place.heard = this.time();
    else line.set(owner, { number: ++this.#arrivals, heard: this.time() });
  }

  #granted({ key, owner }: Claim, { fencingToken }: Grant, anyTime = false): void {
    if (fencingToken === undefined) return this.report(`${key}: a grant to ${owner} without a token`);
    const holders = mapIn(this.#holders, key);
    if (holders.get(owner) === fencingToken) return;
    holders.set(owner, fencingToken);
    this.#made.push({ key, owner, token: fencingToken, anyTime });
  }

  /** Looks at what one verb has granted, all of it together: in what order its answers go out means nothing. */
  #judge(): void {
    const made = this.#made;
    if (made.length === 0) return;
    this.#made = [];
    const granted = made.map((grant) => ({
      ...grant,
      number: grant.anyTime ? 0 : (this.#lines.get(grant.key)?.get(grant.owner)?.number ?? Infinity),
    }));
    for (const { key, owner, token } of granted) {
      this.#lines.get(key)?.delete(owner);
      const last = this.#lastTokens.get(key) ?? -1n;
      if (token <= last) this.report(`${key}: ${owner} got token ${token} after ${last} had been given out`);
    }
    for (const { key, owner, token, number } of granted) {
      const last = this.#lastTokens.get(key) ?? -1n;
      if (token > last) this.#lastTokens.set(key, token);
      for (const [other, place] of this.#lines.get(key) ?? []) {
        if (place.number < number && this.time() - place.heard < SILENCE_MS) {
          this.report(`${key}: ${owner} was served before ${other}, which stood in line before it`);
        }
      }
    }
  }
}

/** The server steps further than that: what lies between is what a process gives out by itself. */
const comesFrom = (server: bigint, token: bigint): boolean =>
  token >= server && token - server <= BigInt(MOST_UNCONFIRMED);

function mapIn<K, T>(maps: Map<string, Map<K, T>>, key: string): Map<K, T> {
  let map = maps.get(key);
  if (!map) maps.set(key, (map = new Map<K, T>()));
  return map;
}
