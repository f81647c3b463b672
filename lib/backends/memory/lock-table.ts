import {
  type Attempt,
  type Busy,
  type Claim,
  type Conflict,
  type Grant,
  type KeyState,
  type ListPage,
  type ListQuery,
  MOST_UNCONFIRMED,
  type TakenOver,
  type Waiter,
} from '../backend.js';
import {
  aheadOf,
  type Entry,
  type Hold,
  isOpen,
  LATEST_FOREMOST_LOOK_MS,
  limitInForce,
  LOOK_MS,
  lookOf,
} from './entry.js';
import { Holders } from './holders.js';
import { Line, type Place } from './line.js';

/** A waiter is served only while it was heard of in this time, or in more than it was told to wait before it looks again. */
const WAITER_SILENCE_MS = 15_000;
/** How many waiters of a key are named. */
const MOST_WAITERS = 100;
const TOKEN_STEP = BigInt(MOST_UNCONFIRMED + 1);

/**
 * What a lock server knows and does, in one process and without a network: the reference for the others. Time is handed in.
 *
 * Owners are told apart, grants are made in arrival order and pushed from inside the release, leases and places end by the
 * table's own clock, and every verb may be repeated by the same owner.
 */
export class LockTable {
  readonly #entries = new Map<string, Entry>();
  /** One counter for all keys: it grows for each of them, and leaves nothing behind for a key that is gone. */
  #lastToken = 0n;
  /** Told of every owner whose lock was taken away by force. */
  readonly victims = new Set<(owner: string) => void>();
  /** Asked whether an owner still renews its hold, before that ends by time. */
  readonly renewers = new Set<(owner: string) => boolean>();

  constructor(private readonly now: () => number) {}

  attempt(claim: Claim, waiter?: Waiter): Attempt {
    const entry = this.#entry(claim.key);
    const mine = entry.holds.get(claim.owner);
    if (mine && !mine.closed) {
      this.#extend(entry, mine, claim.ttl);
      return this.#granted(mine);
    }
    const conflict = limitInForce(entry, claim);
    if (conflict !== undefined) return { granted: false, limit: conflict };
    if (waiter) {
      // Asked again, the place in line stays what it was.
      const now = this.now();
      const place = entry.line.join(claim, waiter, now);
      entry.line.believe(place, now + Math.max(WAITER_SILENCE_MS, 2 * lookOf(place, entry)));
      const grant = this.#serve(entry, claim);
      return grant ?? { ...this.#busy(entry, place), ...aheadOf(place, entry) };
    }
    this.#serve(entry);
    return entry.line.size === 0 && isOpen(entry, claim)
      ? this.#take(entry, claim, claim.ttl)
      : this.#tidied(claim.key, this.#busy(entry));
  }

  attemptAll(claims: readonly Claim[]): readonly Grant[] | Busy | Conflict {
    for (const claim of claims) {
      const entry = this.#entry(claim.key);
      if (entry.holds.get(claim.owner)) continue;
      const conflict = limitInForce(entry, claim);
      if (conflict !== undefined) return { granted: false, limit: conflict };
      if (entry.line.size > 0 || !isOpen(entry, claim)) return this.#tidied(claim.key, this.#busy(entry));
    }
    return claims.map((claim) => {
      const entry = this.#entry(claim.key);
      const mine = entry.holds.get(claim.owner);
      if (!mine) return this.#take(entry, claim, claim.ttl);
      this.#extend(entry, mine, claim.ttl);
      return this.#granted(mine);
    });
  }

  renew(claims: readonly Claim[]): readonly boolean[] {
    return claims.map(({ key, owner, ttl }) => {
      const entry = this.#entry(key);
      const hold = entry.holds.get(owner);
      if (!hold || hold.closed) {
        this.#tidied(key, undefined);
        return false;
      }
      this.#extend(entry, hold, ttl);
      return true;
    });
  }

  release(claim: Claim, keepMs = 0, from: readonly string[] = []): boolean {
    const entry = this.#entry(claim.key);
    const hold = this.#holdOf([...from, claim.owner], entry);
    const held = hold !== undefined;
    if (held && keepMs > 0) {
      hold.closed = true;
      hold.ends = this.now() + keepMs;
      entry.holds.moved(hold);
      // Its end moved: whoever is first looks anew.
      entry.line.first?.waiter.look();
    } else if (held) {
      entry.holds.remove(hold);
    }
    const first = entry.line.first;
    for (const owner of [...from, claim.owner]) entry.line.leave(owner);
    // Until now it had others ahead who looked in its stead.
    if (!held && entry.line.first !== first) entry.line.first?.waiter.look();
    this.#serve(entry);
    return this.#tidied(claim.key, held);
  }

  downgrade(claim: Claim): boolean {
    const entry = this.#entry(claim.key);
    const hold = entry.holds.get(claim.owner);
    if (!hold || hold.closed) return this.#tidied(claim.key, false);
    hold.claim = { ...hold.claim, mode: 'shared' };
    this.#serve(entry);
    return true;
  }

  takeOver(claim: Claim, from: readonly string[], fencingToken: bigint): TakenOver {
    const entry = this.#entry(claim.key);
    const theirs = [...from, claim.owner];
    const first = entry.line.first?.claim.owner;
    for (const owner of theirs) entry.line.leave(owner);
    const before = this.#holdOf(theirs, entry);
    if (!before || before.claim.mode !== 'exclusive' || before.claim.limit > 1) {
      this.#serve(entry);
      return this.#tidied(claim.key, 'gone');
    }
    const token = before.token > fencingToken ? before.token : fencingToken;
    if (token > this.#lastToken) this.#lastToken = token;
    entry.holds.remove(before);
    const now = this.now();
    const ends = Math.max(before.ends, now + claim.ttl);
    entry.holds.add({ claim, token, since: now, ends, closed: false, rank: 0 });
    const inTurn = before.claim.owner === claim.owner || first === undefined || theirs.includes(first);
    return inTurn ? 'held' : 'overtaking';
  }

  /** What one of these owners holds. */
  #holdOf(owners: readonly string[], { holds }: Entry): Hold | undefined {
    return owners.map((owner) => holds.get(owner)).find((hold) => hold && !hold.closed);
  }

  /** The owners that lost the key. */
  forceRelease(key: string): readonly string[] {
    const entry = this.#entry(key);
    const holds = [...entry.holds];
    for (const hold of holds) entry.holds.remove(hold);
    const victims = holds.map(({ claim: { owner } }) => owner);
    for (const owner of victims) for (const tell of this.victims) tell(owner);
    this.#serve(entry);
    return this.#tidied(key, victims);
  }

  inspect(key: string): KeyState {
    const entry = this.#entry(key);
    const now = this.now();
    const holds = [...entry.holds];
    const { mode = 'exclusive', limit = 1 } = holds[0]?.claim ?? {};
    const holders = holds.map(({ claim: { owner }, token, since, ends }) => ({
      owner,
      fencingToken: token,
      remainingMs: ends - now,
      heldMs: now - since,
    }));
    const foremost = entry.line.foremost(MOST_WAITERS);
    const waiters = foremost.map(({ claim: { owner }, since }) => ({ owner, waitingMs: now - since }));
    return this.#tidied(key, { mode, limit, holders, waiting: entry.line.size, waiters });
  }

  /** By name, so that a page begins after the last key of the one before, whatever became of it. */
  list({ prefix, limit, cursor = '' }: ListQuery): ListPage {
    const behind = [...this.#entries.keys()].filter((key) => key > cursor && key.startsWith(prefix)).sort();
    const names = behind.slice(0, limit);
    const keys = names
      .map((key) => ({ key, ...this.inspect(key) }))
      .filter(({ holders, waiting }) => holders.length > 0 || waiting > 0);
    const last = names.at(-1);
    return last !== undefined && behind.length > limit ? { keys, cursor: last } : { keys };
  }

  /** The keys that take memory. */
  get size(): number {
    return this.#entries.size;
  }

  /** The key's entry, without the leases and places that have ended. */
  #entry(key: string): Entry {
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = { holds: new Holders(), line: new Line() }));
    const now = this.now();
    const { holds, line } = entry;
    for (let hold = holds.first; hold && hold.ends <= now; hold = holds.first) {
      if (!hold.closed && this.#isRenewed(hold.claim.owner)) this.#extend(entry, hold, hold.claim.ttl);
      else holds.remove(hold);
    }
    line.forgetSilent(now);
    return entry;
  }

  #isRenewed(owner: string): boolean {
    for (const isRenewed of this.renewers) if (isRenewed(owner)) return true;
    return false;
  }

  /** Serves the line from its head while one more fits. The caller's own grant is returned, the others' are pushed. */
  #serve(entry: Entry, caller?: Claim): Grant | undefined {
    let own: Grant | undefined;
    for (let place = entry.line.first; place && isOpen(entry, place.claim); place = entry.line.first) {
      const { claim, waiter } = place;
      entry.line.leave(claim.owner);
      if (claim.owner === caller?.owner) own = this.#take(entry, claim, caller.ttl);
      else waiter.granted(this.#take(entry, claim, claim.claimTtl));
    }
    return own;
  }

  #take(entry: Entry, claim: Claim, ttl: number): Grant {
    this.#lastToken += TOKEN_STEP;
    const now = this.now();
    const hold: Hold = { claim, token: this.#lastToken, since: now, ends: now + ttl, closed: false, rank: 0 };
    entry.holds.add(hold);
    return this.#granted(hold);
  }

  #granted({ token }: Hold): Grant {
    return { granted: true, fencingToken: token, at: this.now() };
  }

  /** Never to less than it had. */
  #extend({ holds }: Entry, hold: Hold, ttl: number): void {
    hold.ends = Math.max(hold.ends, this.now() + ttl);
    holds.moved(hold);
  }

  /** @param place where the caller stands in line, if it does */
  #busy(entry: Entry, place?: Place): Busy {
    const now = this.now();
    const { first } = entry.holds;
    const look = place ? lookOf(place, entry) : LOOK_MS;
    const retryAfterMs = first && look < LATEST_FOREMOST_LOOK_MS ? Math.min(first.ends - now, look) : look;
    return first
      ? { granted: false, retryAfterMs, at: now, holder: first.claim.owner }
      : { granted: false, retryAfterMs, at: now };
  }

  /** Nothing is kept for a key that nobody holds or waits for. */
  #tidied<T>(key: string, answer: T): T {
    const entry = this.#entries.get(key);
    if (entry && entry.holds.size === 0 && entry.line.size === 0) this.#entries.delete(key);
    return answer;
  }
}
