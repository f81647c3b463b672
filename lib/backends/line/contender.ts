import type { Attempt, Busy, Claim, Grant, Session, Waiter } from '../backend.js';
import type { LineDriver, ObstacleListener, Place, Point, View } from './driver.js';
import { busy, conflictOf, isReader, type Obstacle, obstacleOf } from './judge.js';
import type { ContendedKeys } from './contended-keys.js';

/**
 * How long after it entered a holder reads its own place again, in milliseconds. Most locks are released sooner, and their release
 * says the same.
 */
const CONFIRM_MS = 100;

/** What the contenders of one backend share. */
export interface Lines<P extends Place, S extends Session> {
  readonly driver: LineDriver<P, S>;
  /** All contenders of this process, by owner. */
  readonly contenders: Map<string, Contender<P, S>>;
  readonly keys: ContendedKeys;
  /** The place of a holder is gone. */
  lost(owner: string): void;
}

/** A claim that has a place in a line, or has asked for one. It waits first and holds later. */
export class Contender<P extends Place, S extends Session> implements ObstacleListener<P> {
  waiter: Waiter | undefined;
  #place: P | undefined;
  #granted = false;
  /** The newest point at which the line was read. */
  #readAt: Point = -1;
  #first: P | undefined;
  #obstacle: Obstacle<P> | undefined;
  #watch: { readonly target: string; readonly stop: () => void } | undefined;
  #confirmation: NodeJS.Timeout | undefined;
  readonly #leaveKey: () => void;
  /** Withdrawn: later answers mean nothing any more. */
  #over = false;
  /** How often the server was asked. Only the last question still matters. */
  #asked = 0;

  /** @param unanswered whether the server may have a place of this owner already, from a `join` whose answer never came */
  constructor(
    readonly claim: Claim,
    readonly session: S,
    private readonly lines: Lines<P, S>,
    private unanswered: boolean,
  ) {
    lines.contenders.set(claim.owner, this);
    this.#leaveKey = lines.keys.add(claim.key);
  }

  get granted(): boolean {
    return this.#granted;
  }

  /** Its place on the server, once it is known. */
  get place(): P | undefined {
    return this.#place;
  }

  get grant(): Grant {
    const token = this.#place?.token;
    return token === undefined ? { granted: true } : { granted: true, fencingToken: token };
  }

  /** It was let in without waiting in line. */
  hold(place: P): Grant {
    this.#place = place;
    this.#granted = true;
    return this.grant;
  }

  withdraw(): void {
    this.#over = true;
    clearTimeout(this.#confirmation);
    this.#unwatch();
    this.#leaveKey();
    const { contenders } = this.lines;
    if (contenders.get(this.claim.owner) === this) contenders.delete(this.claim.owner);
  }

  /** Takes the last place in the line. */
  async join(): Promise<Attempt> {
    const { lines } = this;
    const { driver } = lines;
    const again = this.unanswered;
    this.unanswered = true;
    const view = await driver.join(this.claim, this.session, {
      contended: lines.keys.has(this.claim.key),
      again,
      wanted: this.#newest(),
    });
    if (!view.own) throw new Error(`the ${driver.kind} driver showed a line without the place that it took`);
    this.unanswered = false;
    this.#place = view.own;
    return this.#judge(view);
  }

  /** Looks again at the own place and at what is in the way. `undefined` when the own place is gone. */
  async look(place: P): Promise<Attempt | undefined> {
    const { claim, session } = this;
    const { driver } = this.lines;
    if (this.#granted) return (await driver.confirm(claim, place, session, false)) ? this.grant : undefined;
    // The turn of a permit can come while the place just ahead stays.
    const obstacle =
      this.#obstacle && 'place' in this.#obstacle && claim.limit === 1 ? this.#obstacle.place : undefined;
    const view = await driver.view(claim, place, session, { obstacle, wanted: this.#newest() });
    if ('unchanged' in view) {
      // Meanwhile the obstacle may have gone.
      if (this.#granted) return this.grant;
      this.#readAt = Math.max(this.#readAt, view.at);
      return this.#busy(view.at);
    }
    if (!view.own) return undefined;
    this.#place = view.own;
    return this.#judge(view);
  }

  /** One of the obstacles changed. If it was the last one in the way, that is the grant. */
  changed(obstacle: P, now: P | undefined, at: Point): void {
    const waitsFor = this.#obstacle;
    if (!waitsFor) return;
    const all = 'place' in waitsFor ? [waitsFor.place] : waitsFor.any;
    if (!all.some(({ owner }) => owner === obstacle.owner)) return;
    const isSame = now?.owner === obstacle.owner;
    // A writer never comes back from a downgrade. So that counts even where a view does not show it.
    const isDowngraded = isSame && isReader(now) && !isReader(obstacle);
    if (at <= this.#readAt && !isDowngraded) return;
    // A holder of a permit that was only stirred is still in the way.
    if ('any' in waitsFor && isSame) return;
    const isOut = now === undefined || (isDowngraded && isReader(this.claim));
    if (!isOut || ('place' in waitsFor && !waitsFor.last)) return this.missed();
    this.#enter();
    this.waiter?.granted({ ...this.grant, at });
  }

  missed(until?: Point): void {
    if (until === undefined || until > this.#readAt) this.waiter?.look();
  }

  /** Says what the view means for the claim, and watches what is in its way. */
  async #judge({ at, ahead }: View<P>): Promise<Attempt> {
    const { claim, session } = this;
    if (this.#granted) return this.grant;
    // An older view than the last one says nothing new.
    if (this.#over || at < this.#readAt) return this.#busy(at);
    this.#first = ahead[0];
    const conflict = conflictOf(claim, ahead);
    if (conflict) {
      this.withdraw();
      await this.lines.driver.leave(claim, this.#place, session);
      return conflict;
    }
    this.#readAt = at;
    this.#obstacle = obstacleOf(claim, ahead);
    if (this.#obstacle) {
      if (this.waiter) this.#watchFor(this.#obstacle);
      return this.#busy(at);
    }
    this.#enter();
    return { ...this.grant, at };
  }

  #watchFor(obstacle: Obstacle<P>): void {
    const places = 'place' in obstacle ? [obstacle.place] : obstacle.any;
    const target = places.map(({ owner }) => owner).join();
    if (this.#watch?.target === target) return;
    this.#unwatch();
    this.#watch = { target, stop: this.lines.driver.watch(this.claim.key, places, this.session, this) };
  }

  /**
   * Its turn has come. The own place is read again, but beside the work and not before it: the place is there as long as its session
   * is, and the engine believes in that by the clock, never longer than the server. Only a place that was removed by hand, or whose
   * session was, is gone, and then the holder soon hears of it.
   */
  #enter(): void {
    const waited = this.#watch !== undefined;
    this.#granted = true;
    this.#obstacle = undefined;
    this.#unwatch();
    if (!waited || this.#over) return;
    // A failure costs nothing but the time until the next renewal.
    const confirm = (): void => void this.#confirm().catch(() => undefined);
    // Behind a permit another claim may wait to be the first waiter, and nothing that goes away tells it so.
    if (this.claim.limit > 1) confirm();
    else this.#confirmation = setTimeout(confirm, CONFIRM_MS).unref();
  }

  async #confirm(): Promise<void> {
    const { claim, session } = this;
    if (!this.#place) return;
    const there = await this.lines.driver.confirm(claim, this.#place, session, claim.limit > 1);
    if (!there && !this.#over) this.lines.lost(claim.owner);
  }

  /** Whether nothing was asked after this, and the claim was not withdrawn. */
  #newest(): () => boolean {
    const asked = ++this.#asked;
    return () => !this.#over && asked === this.#asked;
  }

  #unwatch(): void {
    this.#watch?.stop();
    this.#watch = undefined;
  }

  #busy(at: Point): Busy {
    return busy(this.#first, at);
  }
}
