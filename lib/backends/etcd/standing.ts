import type { Attempt, Busy, Claim, Grant, Waiter } from '../backend.js';
import type { WatchEvent } from './client.js';
import type { Cluster } from './cluster.js';
import { clashOf, isMixed, keyOf, type Obstacle, obstacleOf, type Place, placesIn } from './line.js';
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
import type { EtcdSession } from './session.js';

/** How soon a waiter looks again if it hears nothing: the bound on what a silent member costs it. */
const LOOK_MS = 5_000;
/** How long after its turn came a holder reads its own key again: most locks are let go sooner, and their release says the same. */
const CONFIRM_MS = 100;

/** A claim that stands in a line, or has asked to: as one who waits, or as a holder. */
export class Standing {
  waiter: Waiter | undefined;
  #granted = false;
  /** Its key's create revision: its place in the line and its fencing token. 0 until it is known. */
  #revision = 0;
  /** The revision at which the line was last read. */
  #readAt = 0;
  #head: Place | undefined;
  #obstacle: Obstacle | undefined;
  #watch: { readonly target: string; readonly stop: () => void } | undefined;
  #confirmation: NodeJS.Timeout | undefined;
  /** Withdrawn: whatever answers are still to come mean nothing any more. */
  #over = false;

  constructor(
    readonly claim: Claim,
    readonly session: EtcdSession,
    private readonly cluster: Cluster,
    /** All of this process, by owner; it is one of them until it is withdrawn. */
    private readonly others: Map<string, Standing>,
    /** Its key is gone although it was let in. */
    private readonly lost: () => void,
  ) {
    others.set(claim.owner, this);
  }

  /** It was let in without standing in line. */
  hold(revision: number): Grant {
    this.#revision = revision;
    this.#granted = true;
    return this.grant;
  }

  get granted(): boolean {
    return this.#granted;
  }

  /** Whether its key is known to have been on the server. */
  get placed(): boolean {
    return this.#revision > 0;
  }

  get grant(): Grant {
    return { granted: true, fencingToken: BigInt(this.#revision) };
  }

  withdraw(): void {
    this.#over = true;
    clearTimeout(this.#confirmation);
    this.#unwatch();
    if (this.others.get(this.claim.owner) === this) this.others.delete(this.claim.owner);
  }

  /** Stands in line, behind whoever is there. */
  async join(): Promise<Attempt> {
    const { claim, session, cluster } = this;
    const key = put(claim, session.lease);
    if (!cluster.isWaitedFor(claim.key)) {
      // Nearly always nobody is there, and nothing has to be read.
      const alone = await this.#transact({ compare: [isEmpty(claim)], success: [key], failure: [] });
      if (alone.succeeded) return this.hold(Number(alone.header.revision));
    }
    const exclusive = isExclusive(claim);
    const answer = await this.#transact({
      compare: [isAbsent(claim)],
      success: [key, ...(exclusive ? ends(claim.key) : [all(claim.key)])],
      failure: [all(claim.key)],
    });
    const readAt = Number(answer.header.revision);
    let kvs = found(answer);
    if (answer.succeeded && exclusive && isMixed(claim.key, kvs)) kvs = await cluster.line(claim.key);
    const line = placesIn(claim.key, kvs);
    const mine = line.find(({ owner }) => owner === claim.owner);
    if (mine && mine.kv.lease !== session.lease) await this.#adopt(mine);
    this.#revision = mine?.revision ?? readAt;
    return this.#judge(line, readAt);
  }

  /** Looks at what is in the way, and at the own key: it may be gone. `undefined` when it is. */
  async look(): Promise<Attempt | undefined> {
    const { claim, session } = this;
    const revision = this.#revision;
    // A permit's turn can come while the one just ahead stays.
    const obstacle = this.#obstacle && 'key' in this.#obstacle && claim.limit === 1 ? this.#obstacle.key : undefined;
    const exclusive = isExclusive(claim);
    const reads = exclusive ? [own(claim), ...ends(claim.key, revision)] : [all(claim.key)];
    const answer = await this.#transact({
      compare: [
        hangsFrom(claim, session.lease),
        wasCreated(claim, revision),
        ...(obstacle ? [isUnchanged(obstacle)] : []),
      ],
      // Nothing has happened, and nothing has to be read.
      success: obstacle ? [] : reads,
      failure: reads,
    });
    const readAt = Number(answer.header.revision);
    if (answer.succeeded && obstacle) {
      // Meanwhile it may have gone.
      if (this.#granted) return this.grant;
      this.#readAt = Math.max(this.#readAt, readAt);
      return this.#busy(readAt);
    }
    let kvs = found(answer);
    const mine = placesIn(claim.key, kvs).find(({ owner }) => owner === claim.owner);
    if (mine?.revision !== revision || mine.kv.lease !== session.lease) return undefined;
    if (exclusive && isMixed(claim.key, kvs)) kvs = await this.cluster.line(claim.key);
    return this.#judge(placesIn(claim.key, kvs), readAt);
  }

  /** Says what the line, as it was at that revision, means for the claim, and watches what is in its way. */
  async #judge(line: readonly Place[], readAt: number): Promise<Attempt> {
    const { claim, session } = this;
    if (this.#granted) return this.grant;
    if (this.#over || readAt < this.#readAt) return this.#busy(readAt);
    const ahead = line.filter(({ revision }) => revision < this.#revision);
    this.#head = ahead[0];
    const clash = clashOf(claim, ahead);
    if (clash) {
      this.withdraw();
      await this.cluster.transact(session, { compare: [], success: [remove(keyOf(claim))], failure: [] });
      return clash;
    }
    this.#readAt = readAt;
    this.#obstacle = obstacleOf(claim, ahead);
    if (this.#obstacle) {
      this.#watchFor(this.#obstacle);
      return this.#busy(readAt);
    }
    this.#enter();
    return { ...this.grant, at: readAt };
  }

  #watchFor(obstacle: Obstacle): void {
    const target = 'key' in obstacle ? obstacle.key.owner : '';
    if (this.#watch?.target === target) return;
    this.#unwatch();
    const { key, range_end } =
      'key' in obstacle ? { key: obstacle.key.kv.key, range_end: undefined } : rangeOf(this.claim.key);
    const done = this.cluster.wait(this.claim.key);
    const unwatch = this.cluster.watches.watch(key, range_end, {
      // What happened between the reading and the watching was seen by neither.
      watchedFrom: (revision) => {
        if (revision > this.#readAt) this.waiter?.look();
      },
      happened: (event) => this.#happened(event),
    });
    const stop = (): void => {
      done();
      unwatch();
    };
    this.#watch = { target, stop };
  }

  /**
   * What was in the way changed. Where it was the last obstacle that is the grant. The own key is read again, but beside the work
   * and not before it: it is there as long as its lease is, which the engine believes in by the clock, and never longer than the
   * server does. Only where somebody removed the key or the lease by hand is it gone, and then the holder soon hears of it.
   */
  #happened({ type, kv }: WatchEvent): void {
    const obstacle = this.#obstacle;
    const at = Number(kv.mod_revision);
    if (!obstacle || at <= this.#readAt) return;
    if ('any' in obstacle) {
      if (type !== 'Delete' || !obstacle.any.some((place) => place.kv.key.equals(kv.key))) return;
    } else if (
      !obstacle.last ||
      !(type === 'Delete' || (this.claim.mode === 'shared' && kv.value.toString() === 'shared'))
    ) {
      this.waiter?.look();
      return;
    }
    this.#enter();
    this.waiter?.granted({ ...this.grant, at });
  }

  #enter(): void {
    const waited = this.#watch !== undefined;
    this.#granted = true;
    this.#obstacle = undefined;
    this.#unwatch();
    if (!waited || this.#over) return;
    // Lost, it costs a look, or the time until the next renewal.
    const confirm = (): void => void this.#confirm().catch(() => undefined);
    // Behind a permit somebody may wait to be the first in line, which no deletion tells.
    if (this.claim.limit > 1) confirm();
    else this.#confirmation = setTimeout(confirm, CONFIRM_MS).unref();
  }

  #unwatch(): void {
    this.#watch?.stop();
    this.#watch = undefined;
  }

  /** Reads the own key again. That of a permit is written again, which changes nothing but what watchers of it see. */
  async #confirm(): Promise<void> {
    const { claim, session } = this;
    const { succeeded } = await this.#transact({
      compare: [hangsFrom(claim, session.lease)],
      success: claim.limit > 1 ? [move(claim, session.lease)] : [],
      failure: [],
    });
    if (!succeeded && !this.#over) this.lost();
  }

  /** The key hangs from an earlier session of ours, which may end at any moment. */
  async #adopt(mine: Place): Promise<void> {
    const { claim, session } = this;
    const { succeeded } = await this.#transact({
      compare: [isUnchanged(mine)],
      success: [move(claim, session.lease)],
      failure: [],
    });
    if (!succeeded) throw new Error('the key of an earlier session changed while it was taken over');
  }

  #transact(transaction: Parameters<Cluster['transact']>[1]): ReturnType<Cluster['transact']> {
    return this.cluster.transact(this.session, transaction, () => !this.#over);
  }

  #busy(at: number): Busy {
    return busy(this.#head, at);
  }
}

export function busy(head: Place | undefined, at: number): Busy {
  const answer = { granted: false, retryAfterMs: LOOK_MS, at } as const;
  return head ? { ...answer, holder: head.owner } : answer;
}
