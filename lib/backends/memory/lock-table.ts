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

interface Place {
  readonly claim: Claim;
  readonly waiter: Waiter;
  readonly since: number;
  /** When the server stops believing that the waiter lives. */
  deadline: number;
}

interface Hold {
  readonly claim: Claim;
  readonly token: bigint;
  readonly since: number;
  ends: number;
  /** Let go by its holder, but closed until `ends`. */
  closed: boolean;
}

interface Entry {
  readonly holds: Map<string, Hold>;
  /** By arrival. */
  readonly line: Map<string, Place>;
}

/** A waiter is served only while it was heard of in this time. */
const WAITER_SILENCE_MS = 15_000;
/** How soon a waiter is to look again, whatever happens: the bound on what a lost push costs. */
const LOOK_MS = 1_000;
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

  constructor(private readonly now: () => number) {}

  attempt(claim: Claim, waiter?: Waiter): Attempt {
    const entry = this.#entry(claim.key);
    const mine = entry.holds.get(claim.owner);
    if (mine && !mine.closed) {
      mine.ends = Math.max(mine.ends, this.now() + claim.ttl);
      return this.#granted(mine);
    }
    const clash = limitInForce(entry, claim);
    if (clash !== undefined) return { granted: false, limit: clash };
    if (waiter) {
      const place = entry.line.get(claim.owner);
      const now = this.now();
      const deadline = now + WAITER_SILENCE_MS;
      // Asked again, the place in line stays what it was.
      entry.line.set(claim.owner, { claim: place?.claim ?? claim, waiter, since: place?.since ?? now, deadline });
      const grant = this.#serve(entry, claim);
      return grant ?? { ...this.#busy(entry), ...aheadOf(claim.owner, entry) };
    }
    this.#serve(entry);
    return entry.line.size === 0 && isOpen(entry, claim)
      ? this.#take(entry, claim, claim.ttl)
      : this.#tidied(claim.key, this.#busy(entry));
  }

  attemptAll(claims: readonly Claim[]): readonly Grant[] | Busy | Conflict {
    for (const claim of claims) {
      const entry = this.#entry(claim.key);
      if (entry.holds.has(claim.owner)) continue;
      const clash = limitInForce(entry, claim);
      if (clash !== undefined) return { granted: false, limit: clash };
      if (entry.line.size > 0 || !isOpen(entry, claim)) return this.#tidied(claim.key, this.#busy(entry));
    }
    return claims.map((claim) => {
      const entry = this.#entry(claim.key);
      const mine = entry.holds.get(claim.owner);
      if (!mine) return this.#take(entry, claim, claim.ttl);
      mine.ends = Math.max(mine.ends, this.now() + claim.ttl);
      return this.#granted(mine);
    });
  }

  renew(claims: readonly Claim[]): readonly boolean[] {
    return claims.map(({ key, owner, ttl }) => {
      const hold = this.#entry(key).holds.get(owner);
      if (!hold || hold.closed) {
        this.#tidied(key, undefined);
        return false;
      }
      hold.ends = Math.max(hold.ends, this.now() + ttl);
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
      // Its end moved: whoever is first looks anew.
      for (const place of entry.line.values()) {
        place.waiter.look();
        break;
      }
    } else if (held) {
      entry.holds.delete(hold.claim.owner);
    }
    for (const owner of [...from, claim.owner]) entry.line.delete(owner);
    this.#serve(entry);
    return this.#tidied(claim.key, held);
  }

  downgrade(claim: Claim): boolean {
    const entry = this.#entry(claim.key);
    const hold = entry.holds.get(claim.owner);
    if (!hold || hold.closed) return this.#tidied(claim.key, false);
    entry.holds.set(claim.owner, { ...hold, claim: { ...hold.claim, mode: 'shared' } });
    this.#serve(entry);
    return true;
  }

  takeOver(claim: Claim, from: readonly string[], fencingToken: bigint): TakenOver {
    const entry = this.#entry(claim.key);
    const theirs = [...from, claim.owner];
    const [first] = entry.line.keys();
    for (const owner of theirs) entry.line.delete(owner);
    const before = this.#holdOf(theirs, entry);
    if (!before || before.claim.mode !== 'exclusive' || before.claim.limit > 1) {
      this.#serve(entry);
      return this.#tidied(claim.key, 'gone');
    }
    const token = before.token > fencingToken ? before.token : fencingToken;
    if (token > this.#lastToken) this.#lastToken = token;
    entry.holds.delete(before.claim.owner);
    entry.holds.set(claim.owner, {
      ...{ claim, token, since: this.now(), closed: false },
      ends: Math.max(before.ends, this.now() + claim.ttl),
    });
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
    const victims = [...entry.holds.keys()];
    entry.holds.clear();
    for (const owner of victims) for (const tell of this.victims) tell(owner);
    this.#serve(entry);
    return this.#tidied(key, victims);
  }

  inspect(key: string): KeyState {
    const entry = this.#entry(key);
    const now = this.now();
    const holds = [...entry.holds.values()];
    const { mode = 'exclusive', limit = 1 } = holds[0]?.claim ?? {};
    const holders = holds.map(({ claim: { owner }, token, since, ends }) => ({
      owner,
      fencingToken: token,
      remainingMs: ends - now,
      heldMs: now - since,
    }));
    const foremost = [...entry.line.values()].slice(0, MOST_WAITERS);
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
    if (!entry) this.#entries.set(key, (entry = { holds: new Map(), line: new Map() }));
    const now = this.now();
    for (const [owner, hold] of entry.holds) if (hold.ends <= now) entry.holds.delete(owner);
    for (const [owner, place] of entry.line) if (place.deadline <= now) entry.line.delete(owner);
    return entry;
  }

  /** Serves the line from its head while one more fits. The caller's own grant is returned, the others' are pushed. */
  #serve(entry: Entry, caller?: Claim): Grant | undefined {
    let own: Grant | undefined;
    for (const [owner, { claim, waiter }] of entry.line) {
      if (!isOpen(entry, claim)) break;
      entry.line.delete(owner);
      if (owner === caller?.owner) own = this.#take(entry, claim, caller.ttl);
      else waiter.granted(this.#take(entry, claim, claim.claimTtl));
    }
    return own;
  }

  #take(entry: Entry, claim: Claim, ttl: number): Grant {
    this.#lastToken += TOKEN_STEP;
    const now = this.now();
    const hold: Hold = { claim, token: this.#lastToken, since: now, ends: now + ttl, closed: false };
    entry.holds.set(claim.owner, hold);
    return this.#granted(hold);
  }

  #granted({ token }: Hold): Grant {
    return { granted: true, fencingToken: token, at: this.now() };
  }

  #busy(entry: Entry): Busy {
    const now = this.now();
    const first = [...entry.holds.values()].reduce<Hold | undefined>(
      (a, b) => (a && a.ends <= b.ends ? a : b),
      undefined,
    );
    const retryAfterMs = Math.min(first ? first.ends - now : LOOK_MS, LOOK_MS);
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

/** Whether one more claim fits beside the present holds: exclusive alone, shared beside shared, a permit while some are left. */
function isOpen({ holds }: Entry, claim: Claim): boolean {
  if (claim.limit > 1) return holds.size < claim.limit;
  if (claim.mode === 'exclusive') return holds.size === 0;
  for (const { claim: held } of holds.values()) if (held.mode === 'exclusive') return false;
  return true;
}

/** Who stands directly ahead in line, or holds the key. */
function aheadOf(waiting: string, { line, holds }: Entry): Pick<Busy, 'ahead'> {
  let [ahead] = holds.keys();
  for (const owner of line.keys()) {
    if (owner === waiting) break;
    ahead = owner;
  }
  return ahead === undefined ? {} : { ahead };
}

/** The limit that the key is used with, if it is another than the claim's. */
function limitInForce(entry: Entry, claim: Claim): number | undefined {
  for (const used of [...entry.holds.values(), ...entry.line.values()]) {
    return used.claim.limit === claim.limit ? undefined : used.claim.limit;
  }
  return undefined;
}
