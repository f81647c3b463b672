import type {
  Attempt,
  Busy,
  Claim,
  Clash,
  Grant,
  Holder,
  KeyState,
  Session,
  SessionBackend,
  Traits,
  Waiter,
} from '../backend.js';
import type { Compare } from './client.js';
import { Cluster } from './cluster.js';
import { clashOf, holdersIn, isMixed, keyOf, obstacleOf, placesIn } from './line.js';
import type { Members } from './members.js';
import { all, ends, found, hangsFrom, isEmpty, isExclusive, isNotJoined, move, own, put, remove } from './requests.js';
import { EtcdSession, revoke } from './session.js';
import { busy, Standing } from './standing.js';

export const etcdTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  // etcd counts leases in seconds; with its default timers it grants no less than two.
  minTtl: 1_000,
  survivesFailover: true,
} as const satisfies Traits;

/** How often the line may change under an attempt that does not stand in it. Each time somebody else got in. */
const ROUNDS = 32;
/** How many operations a transaction may have, unless the server's `--max-txn-ops` says otherwise. */
const MOST_AT_ONCE = 128;

/** One etcd cluster. The protocol is that of etcd's own `concurrency.Mutex`, and shares its lines: see line.ts. */
export class EtcdBackend implements SessionBackend {
  readonly family = 'session';
  readonly kind = 'etcd';
  readonly traits: Traits = etcdTraits;
  readonly #cluster: Cluster;
  /** By owner. */
  readonly #standings = new Map<string, Standing>();
  readonly #listeners = new Set<(owner: string) => void>();

  constructor(private readonly members: Members) {
    this.#cluster = new Cluster(members);
  }

  /** Asks for a lease that nobody has: it takes a leader to answer, and no rights to ask. */
  async ping(): Promise<void> {
    await this.members.call((etcd, options) => etcd.leaseClient.leaseTimeToLive({ ID: '1', keys: false }, options));
  }

  open(ttl: number): Promise<Session> {
    return EtcdSession.open(this.members, ttl);
  }

  async attempt(claim: Claim, session: Session, waiter?: Waiter): Promise<Attempt> {
    const known = this.#known(claim, session);
    if (known && waiter) known.waiter = waiter;
    if (known?.placed) {
      const answer = await known.look();
      if (answer) return answer;
      known.withdraw();
    }
    if (waiter) return this.#join(claim, session, waiter);
    const all = await this.#attemptAll([claim], session);
    if ('granted' in all) return all;
    return all[0] ?? busy(undefined, 0);
  }

  /** Takes the keys if their lines let them in at once, and stands in none of them. */
  async attemptAll(claims: readonly Claim[], session: Session): Promise<readonly Grant[] | Busy | Clash | undefined> {
    return claims.length > MOST_AT_ONCE ? undefined : this.#attemptAll(claims, session);
  }

  async #attemptAll(claims: readonly Claim[], session: Session): Promise<readonly Grant[] | Busy | Clash> {
    const { lease } = ours(session);
    const have = new Map<Claim, number>();
    let whole = claims.length > 1;
    // Nearly always nobody is there at all.
    let compare: Compare[] = claims.map(isEmpty);
    let wanted = claims;
    for (let round = 0; round < ROUNDS; round++) {
      const reads = claims.map((claim) =>
        whole || !isExclusive(claim) ? [all(claim.key)] : [own(claim), ...ends(claim.key)],
      );
      const answer = await this.#cluster.transact(session, {
        compare,
        success: wanted.map((claim) => put(claim, lease)),
        failure: reads.flat(),
      });
      const revision = Number(answer.header.revision);
      if (answer.succeeded) {
        for (const claim of wanted) have.set(claim, revision);
        return this.#holding(claims, session, have);
      }
      const lines = claims.map((_, index) => {
        const from = reads.slice(0, index).reduce((sum, { length }) => sum + length, 0);
        return found(answer, from, from + (reads[index]?.length ?? 0));
      });
      if (!whole && claims.some(({ key }, index) => isMixed(key, lines[index] ?? []))) {
        whole = true;
        continue;
      }
      compare = [];
      wanted = [];
      for (const [index, claim] of claims.entries()) {
        const line = placesIn(claim.key, lines[index] ?? []);
        const mine = line.find(({ owner, kv }) => owner === claim.owner && kv.lease === lease);
        const ahead = mine ? line.filter((place) => place.revision < mine.revision) : line;
        const clash = clashOf(claim, ahead);
        if (clash) return clash;
        if (obstacleOf(claim, ahead)) return busy(ahead[0], revision);
        if (mine) {
          have.set(claim, mine.revision);
        } else {
          wanted = [...wanted, claim];
          // Whoever leaves in the meantime is in nobody's way; whoever comes may be.
          compare.push(isNotJoined(claim, revision));
        }
      }
      if (wanted.length === 0) return this.#holding(claims, session, have);
    }
    throw new Error(`the line of '${claims[0]?.key ?? ''}' changed ${ROUNDS} times while it was read`);
  }

  async release(claim: Claim, session: Session, keepMs = 0): Promise<boolean> {
    const standing = this.#standings.get(claim.owner);
    standing?.withdraw();
    if (keepMs > 0) return (await this.#keepClosed(claim, ours(session), keepMs)) && standing?.granted === true;
    const key = keyOf(claim);
    if (!standing) {
      // Not known here any more, the key may be one that is kept closed.
      await this.#cluster.transact(session, {
        compare: [hangsFrom(claim, ours(session).lease)],
        success: [remove(key)],
        failure: [],
      });
      return false;
    }
    const { deleted } = await this.members.call((etcd, options) => etcd.kv.deleteRange({ key }, options));
    return standing.granted && deleted !== '0';
  }

  async downgrade(claim: Claim, session: Session): Promise<boolean> {
    const { lease } = ours(session);
    // Whoever waits for this key to go sees it change.
    const { succeeded } = await this.#cluster.transact(session, {
      compare: [hangsFrom(claim, lease)],
      success: [put({ ...claim, mode: 'shared' }, lease)],
      failure: [],
    });
    return succeeded;
  }

  async inspect(key: string): Promise<KeyState> {
    const line = placesIn(key, await this.#cluster.line(key));
    const holding = holdersIn(line);
    const remaining = new Map<string, Promise<number>>();
    for (const { kv } of holding) if (!remaining.has(kv.lease)) remaining.set(kv.lease, this.#remaining(kv.lease));
    const holders = await Promise.all(
      holding.map(async ({ owner, revision, kv }): Promise<Holder> => ({
        owner,
        fencingToken: BigInt(revision),
        remainingMs: (await remaining.get(kv.lease)) ?? 0,
      })),
    );
    const { mode = 'exclusive', limit = 1 } = holding[0] ?? {};
    return { mode, limit, holders, waiting: line.length - holding.length };
  }

  async forceRelease(key: string): Promise<boolean> {
    const victims = holdersIn(placesIn(key, await this.#cluster.line(key)));
    const success = victims.map(({ kv }) => remove(kv.key));
    if (victims.length > 0) {
      await this.members.call((etcd, options) => etcd.kv.txn({ compare: [], success, failure: [] }, options));
    }
    return victims.length > 0;
  }

  onLost(listener: (owner: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  #join(claim: Claim, session: Session, waiter: Waiter): Promise<Attempt> {
    const standing = this.#standings.get(claim.owner) ?? this.#stand(claim, session);
    standing.waiter = waiter;
    return standing.join();
  }

  #stand(claim: Claim, session: Session): Standing {
    return new Standing(claim, ours(session), this.#cluster, this.#standings, () => {
      for (const listener of this.#listeners) listener(claim.owner);
    });
  }

  /** What is known of the claim in this session; in another one it would be somebody else. */
  #known({ owner }: Claim, session: Session): Standing | undefined {
    const known = this.#standings.get(owner);
    if (!known || known.session === session) return known;
    known.withdraw();
    return undefined;
  }

  #holding(claims: readonly Claim[], session: Session, revisions: ReadonlyMap<Claim, number>): readonly Grant[] {
    return claims.map((claim) => this.#stand(claim, session).hold(revisions.get(claim) ?? 0));
  }

  /** Hangs the key from a lease of its own that nobody renews: it keeps its place in the line until that ends. */
  async #keepClosed(claim: Claim, session: EtcdSession, keepMs: number): Promise<boolean> {
    const { lease } = await EtcdSession.open(this.members, keepMs);
    const { succeeded } = await this.#cluster.transact(session, {
      compare: [hangsFrom(claim, session.lease)],
      success: [move(claim, lease)],
      failure: [],
    });
    if (!succeeded) await revoke(this.members, lease).catch(() => undefined);
    return succeeded;
  }

  async #remaining(lease: string): Promise<number> {
    // A key that somebody put by hand.
    if (lease === '0') return Number.MAX_SAFE_INTEGER;
    const { TTL, grantedTTL } = await this.members.call((etcd, options) =>
      etcd.leaseClient.leaseTimeToLive({ ID: lease, keys: false }, options),
    );
    // Whole seconds, rounded down.
    return Math.min(Number(TTL) + 1, Number(grantedTTL)) * 1000;
  }
}

/** Sessions are made by `open` alone. */
const ours = (session: Session): EtcdSession => session as EtcdSession;
