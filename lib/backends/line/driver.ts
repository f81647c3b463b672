import type { Busy, Claim, Conflict, ListQuery, LockMode, Session, Traits } from '../backend.js';

/**
 * The port of servers that keep a line of places: etcd (create revisions), ZooKeeper (sequence numbers), Consul (create indexes).
 *
 * Such a server keeps one place for each claim, in an order of its own. The claim whose place is foremost holds the key; every other
 * claim watches the one place that is in its way. `LineBackend` has that algorithm. A driver only speaks to the server, and keeps
 * nothing for each claim: a place tells it all that it needs.
 */

/** One place in a line, of this process or of anybody else. A driver adds what it needs to find the place again. */
export interface Place {
  /** `Claim.owner`; for a place of another client any name that is unique in the line. */
  readonly owner: string;
  /** A place of another client counts as `exclusive`. */
  readonly mode: LockMode;
  /** As `Claim.limit`; 1 for a place of another client. */
  readonly limit: number;
  /** The fencing token of a lock that is held by this place. */
  readonly token: bigint | undefined;
}

/**
 * A point in the server's order of changes, such as its revision. It grows with every change, and is a safe integer.
 */
export type Point = number;

/** What a claim has to know of its line. */
export interface View<P extends Place> {
  /** The line was like this at that point. */
  readonly at: Point;
  /** The claim's own place in this session; `undefined` when it is gone, is kept closed or belongs to another session. */
  readonly own: P | undefined;
  /**
   * The places ahead of `own`, foremost first; all places when there is no `own`. For an exclusive claim with a limit of 1 the
   * driver may leave some out, as long as the first and the last one are there. Every other claim needs all of them.
   */
  readonly ahead: readonly P[];
}

/** Neither the own place nor the obstacle has changed. */
export interface Unchanged {
  readonly at: Point;
  readonly unchanged: true;
}

export interface JoinHints {
  /** Another claim of this process waits for the key, holds it or asks for it: the key is almost certainly busy. */
  readonly contended: boolean;
  /**
   * An earlier `join` of this owner went unanswered, or was made in an earlier session, so the owner may have a place already. Only
   * then the driver has to look for one. Otherwise there is none.
   */
  readonly again: boolean;
  /** Whether the answer still matters. A request that was not sent yet need not be sent when it does not. */
  readonly wanted: () => boolean;
}

export interface ViewHints<P extends Place> {
  /** The one place that was in the way. A server that can compare answers `Unchanged` while it is there, and reads nothing. */
  readonly obstacle: P | undefined;
  /** As in `JoinHints`. */
  readonly wanted: () => boolean;
}

/** Hears of the places that a claim waits for. Reports may come late or more than once. */
export interface ObstacleListener<P extends Place> {
  /**
   * One of the watched places changed at that point. Report this only if you are certain of it; otherwise call `missed`.
   * @param now what has the same place in the line now: the same owner with another mode, another owner, or `undefined` for nobody
   * @param at a change that the view showed already is ignored, but for a downgrade: a view need not show that
   */
  changed(obstacle: P, now: P | undefined, at: Point): void;
  /**
   * Changes up to that point may have gone unreported, for instance before the watch began or while a connection was down. Without
   * a point the claim looks in any case.
   */
  missed(until?: Point): void;
}

/** All lines below a prefix, a part at a time. */
export interface LinePage<P extends Place> {
  /** Whole lines, foremost place first. */
  readonly lines: readonly { readonly key: string; readonly line: readonly P[] }[];
  /** Where the next part begins; `undefined` after the last one. */
  readonly cursor?: string;
}

/**
 * How to speak to one such server. A method answers in as few round trips as the server allows, never retries a line by itself, and
 * throws when it does not know. Any method with a session may throw `SessionEndedError`.
 *
 * Every question may be repeated, and may reach the server after a later one. So `join` must not take a second place for an owner,
 * and `leave` and `keepClosed` must not touch the place of another owner.
 */
export interface LineDriver<P extends Place, S extends Session> {
  /** As in the port. */
  readonly kind: string;
  readonly traits: Traits;
  readonly address?: string;
  readonly patienceMs?: number;
  readonly atOnce?: number;
  readonly perSession?: number;
  ping(): Promise<void>;
  close(): Promise<void>;
  open(ttl: number): Promise<S>;

  /** Takes the last place in the line, or finds the one that the owner has, and shows what is ahead of it. `own` is always there. */
  join(claim: Claim, session: S, hints: JoinHints): Promise<View<P>>;
  /** Looks at the line again. `place` is the claim's own, as it was last seen. */
  view(claim: Claim, place: P, session: S, hints: ViewHints<P>): Promise<View<P> | Unchanged>;
  /**
   * Gives the claim's place back; it waits or holds no more. Resolves to whether the place was there. `place` is `undefined` when
   * nobody knows whether the claim has one: then the driver looks for it, and leaves a place alone that is kept closed. Throws when an
   * earlier request without an answer may have removed the place, because then nobody knows whether it was there until now.
   */
  leave(claim: Claim, place: P | undefined, session: S): Promise<boolean>;
  /**
   * Whether the claim's place is still there, in this session.
   * @param stir changes the place in such a way that its watchers hear of it, and nothing else of it
   */
  confirm(claim: Claim, place: P, session: S, stir: boolean): Promise<boolean>;
  /**
   * Watches these places of one line until the returned function is called. With several places the claim needs any one of them to
   * go. The first report is `missed`, with the point from which on nothing is missed; it comes again after each break.
   *
   * A driver may bound its open watches. It then watches the foremost place of each line, and calls `missed()` for the other ones
   * now and then.
   */
  watch(key: string, obstacles: readonly P[], session: S, listener: ObstacleListener<P>): () => void;

  /** The whole line, foremost place first. */
  everybody(key: string): Promise<readonly P[]>;
  /** For each place how many milliseconds the server still keeps it if nobody renews it. */
  remainingMs(places: readonly P[]): Promise<readonly number[]>;
  /** Removes these places, whoever has them. */
  evict(key: string, places: readonly P[]): Promise<void>;
  /** The lines of all keys that begin with the prefix. The work for one page is bounded. */
  lines?(query: ListQuery): Promise<LinePage<P>>;

  /**
   * Lets the place stand for `ms` more without anybody to renew it, so that nobody else can enter (`minHold`). Resolves to whether the
   * place was there. Repeated, it must not give the place back. The order of the line stays, though the place may become another
   * owner's: waiters then hear `changed` with that one as `now`.
   */
  keepClosed?(claim: Claim, place: P | undefined, session: S, ms: number): Promise<boolean>;
  /**
   * Takes all keys in one step or none of them, and waits in no line: the places in the order of the claims, or why not. `undefined`
   * when these keys cannot be taken in one step. Without this method a single claim joins and leaves again when it is not foremost.
   */
  tryAll?(claims: readonly Claim[], session: S): Promise<readonly P[] | Busy | Conflict | undefined>;
  /** Makes an exclusive place a shared one. Its watchers hear `changed`. Resolves to whether the place was there. */
  downgrade?(claim: Claim, place: P | undefined, session: S): Promise<boolean>;
}
