import { type Busy, type Claim, type Conflict, type ListQuery, SessionEndedError, type Traits } from '../backend.js';
import type { JoinHints, LineDriver, LinePage, ObstacleListener, Unchanged, View, ViewHints } from '../line/driver.js';
import type { Compare, KeyValue, TransactionResponse } from './client.js';
import { AT_ONCE, type Members } from './members.js';
import { createdAt, type EtcdPlace, isMixed, placesIn, taken } from './places.js';
import {
  all,
  ends,
  found,
  hangsFrom,
  isAbsent,
  isEmpty,
  isExclusive,
  isUnchanged,
  move,
  own,
  put,
  rangeOf,
  remove,
  wasCreated,
} from './requests.js';
import { EtcdSession } from './session.js';
import { Store } from './store.js';
import { tryAll } from './try-all.js';
import { Watches } from './watches.js';

export const etcdTraits = {
  fencing: true,
  fifo: true,
  modes: ['exclusive', 'shared'],
  semaphores: true,
  // etcd counts leases in seconds; with its default timers it grants no less than two.
  minTtl: 1_000,
  survivesFailover: true,
} as const satisfies Traits;

/** The line of an etcd cluster: the keys of places.ts, in etcd's own order of changes. */
export class EtcdDriver implements LineDriver<EtcdPlace, EtcdSession> {
  readonly kind = 'etcd';
  readonly traits: Traits = etcdTraits;
  readonly address: string;
  /** A member is waited for much shorter; the rest is for the queue. */
  readonly patienceMs = 5_000;
  readonly atOnce = AT_ONCE;
  /** etcd lists the keys of a lease in one piece. */
  readonly perSession = 2_000;
  readonly #store: Store;
  readonly #watches: Watches;

  constructor(private readonly members: Members) {
    this.address = members.hosts.map((host) => host.replace(/\/\/.*@/, '//')).join(', ');
    this.#store = new Store(members);
    this.#watches = new Watches(members);
  }

  /** Asks for a lease that nobody has: the cluster needs a leader to answer, and the user no rights to ask. */
  async ping(): Promise<void> {
    await this.#lifetimeOf('1');
  }

  async close(): Promise<void> {
    this.#watches.close();
    await this.members.close();
  }

  open(ttl: number): Promise<EtcdSession> {
    return EtcdSession.open(this.#store, ttl);
  }

  async join(claim: Claim, session: EtcdSession, { contended, wanted }: JoinHints): Promise<View<EtcdPlace>> {
    const { lease } = session;
    const key = put(claim, lease);
    if (!contended) {
      // Nearly always nobody is there, and nothing has to be read.
      const alone = { compare: [isEmpty(claim)], success: [key], failure: [] };
      const { succeeded, header } = await this.#store.transact(session, alone, wanted);
      if (succeeded) return { at: Number(header.revision), own: taken(claim, lease, header.revision), ahead: [] };
    }
    const reads = isExclusive(claim) ? ends(claim.key) : [all(claim.key)];
    const answer = await this.#store.transact(
      session,
      { compare: [isAbsent(claim)], success: [key, ...reads], failure: [all(claim.key)] },
      wanted,
    );
    const view = await this.#viewOf(claim, answer);
    if (view.own && view.own.kv.lease !== lease) await this.#adopt(claim, view.own, session);
    if (view.own) return view;
    // It was removed by hand before the line could be read.
    const mine = taken(claim, lease, answer.header.revision);
    return { ...view, own: mine, ahead: view.ahead.filter((place) => createdAt(place) < createdAt(mine)) };
  }

  async view(
    claim: Claim,
    place: EtcdPlace,
    session: EtcdSession,
    { obstacle, wanted }: ViewHints<EtcdPlace>,
  ): Promise<View<EtcdPlace> | Unchanged> {
    const reads = isExclusive(claim) ? [own(claim), ...ends(claim.key, place)] : [all(claim.key)];
    const compare = [...isOurs(claim, place, session), ...(obstacle ? [isUnchanged(obstacle)] : [])];
    const answer = await this.#store.transact(
      session,
      { compare, success: obstacle ? [] : reads, failure: reads },
      wanted,
    );
    if (answer.succeeded && obstacle) return { at: Number(answer.header.revision), unchanged: true };
    const view = await this.#viewOf(claim, answer);
    const still = view.own?.token === place.token && view.own?.kv.lease === session.lease;
    return still ? view : { ...view, own: undefined };
  }

  async leave(claim: Claim, place: EtcdPlace | undefined, session: EtcdSession): Promise<boolean> {
    if (!place) {
      const compare = [hangsFrom(claim, session.lease)];
      const success = [remove(taken(claim, session.lease, '0').kv.key)];
      return (await this.#store.transact(session, { compare, success, failure: [] })).succeeded;
    }
    const there = await this.#store.remove(place.kv.key);
    if (there === undefined) {
      throw new Error('a member did not answer, and the next one had no such key: the first may have deleted it');
    }
    return there;
  }

  /** The place of a permit is written again, which changes nothing but what its watchers hear. */
  async confirm(claim: Claim, place: EtcdPlace, session: EtcdSession, stir: boolean): Promise<boolean> {
    const compare = isOurs(claim, place, session);
    const success = stir ? [move(claim, session.lease)] : [];
    return (await this.#store.transact(session, { compare, success, failure: [] })).succeeded;
  }

  watch(
    key: string,
    obstacles: readonly EtcdPlace[],
    _session: EtcdSession,
    listener: ObstacleListener<EtcdPlace>,
  ): () => void {
    const [first] = obstacles;
    const range = obstacles.length === 1 && first ? { key: first.kv.key, range_end: undefined } : rangeOf(key);
    return this.#watches.watch(range.key, range.range_end, {
      watchedFrom: (revision) => listener.missed(revision),
      happened: ({ type, kv }) => {
        const obstacle = obstacles.find((place) => place.kv.key.equals(kv.key));
        const now = type === 'Delete' ? undefined : placesIn(key, [kv])[0];
        if (obstacle) listener.changed(obstacle, now, Number(kv.mod_revision));
      },
    });
  }

  async everybody(key: string): Promise<readonly EtcdPlace[]> {
    return placesIn(key, await this.#store.line(key));
  }

  async lines({ prefix, limit, cursor }: ListQuery): Promise<LinePage<EtcdPlace>> {
    const { keys, next } = await this.#store.names(prefix, limit, cursor);
    const lines = await Promise.all(
      keys.map(async ({ key, first }) => {
        const line = await this.everybody(key);
        // A line whose keys lie apart, because names below it come between them, was on an earlier page.
        const isFirst = !line.some(({ kv }) => Buffer.compare(kv.key, first) < 0);
        return isFirst && line.length > 0 ? [{ key, line }] : [];
      }),
    );
    return next === undefined ? { lines: lines.flat() } : { lines: lines.flat(), cursor: next };
  }

  async remainingMs(places: readonly EtcdPlace[]): Promise<readonly number[]> {
    const leases = [...new Set(places.map(({ kv }) => kv.lease))];
    const lifetimes = new Map(await Promise.all(leases.map(async (id) => [id, await this.#lifetimeOf(id)] as const)));
    return places.map(({ kv }) => lifetimes.get(kv.lease) ?? 0);
  }

  async evict(_key: string, places: readonly EtcdPlace[]): Promise<void> {
    await this.#store.run(places.map(({ kv }) => remove(kv.key)));
  }

  /** The place moves to a lease of its own that nobody renews. */
  async keepClosed(claim: Claim, place: EtcdPlace | undefined, session: EtcdSession, ms: number): Promise<boolean> {
    const nobodys = await EtcdSession.open(this.#store, ms);
    const compare = [hangsFrom(claim, session.lease)];
    const success = [move(claim, nobodys.lease)];
    const answer = await this.#store
      .transact(nobodys, { compare, success, failure: [own(claim)] })
      .catch(undefinedIfEnded);
    // It took so long to get an answer that the time is over.
    if (!answer) return this.leave(claim, place, session);
    if (answer.succeeded) return true;
    const [kv] = found(answer);
    // An earlier request without an answer did it already: with this lease or, in an earlier call, with another one.
    if (kv?.lease !== nobodys.lease) await nobodys.end().catch(() => undefined);
    return kv !== undefined;
  }

  async tryAll(
    claims: readonly Claim[],
    session: EtcdSession,
  ): Promise<readonly EtcdPlace[] | Busy | Conflict | undefined> {
    return tryAll(this.#store, claims, session);
  }

  async downgrade(claim: Claim, _place: EtcdPlace | undefined, session: EtcdSession): Promise<boolean> {
    const compare = [hangsFrom(claim, session.lease)];
    const success = [put({ ...claim, mode: 'shared' }, session.lease)];
    return (await this.#store.transact(session, { compare, success, failure: [] })).succeeded;
  }

  /** What a transaction read of the claim's line. */
  async #viewOf(claim: Claim, answer: TransactionResponse): Promise<View<EtcdPlace>> {
    let kvs: readonly KeyValue[] = found(answer);
    if (isExclusive(claim) && isMixed(claim.key, kvs)) kvs = await this.#store.line(claim.key);
    const line = placesIn(claim.key, kvs);
    const mine = line.findIndex(({ owner }) => owner === claim.owner);
    const ahead = mine < 0 ? line : line.slice(0, mine);
    return { at: Number(answer.header.revision), own: line[mine], ahead };
  }

  /** The place hangs from an earlier session of ours, which may end at any moment. */
  async #adopt(claim: Claim, mine: EtcdPlace, session: EtcdSession): Promise<void> {
    const compare = [isUnchanged(mine)];
    const success = [move(claim, session.lease)];
    const { succeeded } = await this.#store.transact(session, { compare, success, failure: [] });
    if (!succeeded) throw new Error('the key of an earlier session changed while it was taken over');
  }

  async #lifetimeOf(lease: string): Promise<number> {
    // A key that was put by hand.
    if (lease === '0') return Number.MAX_SAFE_INTEGER;
    const { TTL, grantedTTL } = await this.members.call((etcd, options) =>
      etcd.leaseClient.leaseTimeToLive({ ID: lease, keys: false }, options),
    );
    // Whole seconds, rounded down.
    return Math.min(Number(TTL) + 1, Number(grantedTTL)) * 1_000;
  }
}

/** The place is the claim's, and hangs from this session. */
const isOurs = (claim: Claim, { kv }: EtcdPlace, { lease }: EtcdSession): Compare[] => [
  hangsFrom(claim, lease),
  wasCreated(claim, kv.create_revision),
];

function undefinedIfEnded(error: unknown): undefined {
  if (!(error instanceof SessionEndedError)) throw error;
}
