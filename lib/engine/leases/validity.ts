/**
 * The sums that exclusion rests on, all of them, on the monotonic clock of this process.
 *
 * The server starts a lease when the request arrives, which is never before it was sent. So a lease believed from the *sending*
 * ends here before it ends there, however long the request or its reply were on the way. (Counting from the reply, as several
 * well-known libraries do, believes too long by one reply.)
 */

/** Two clocks that run apart by this much are still safe: 1 % of the lease, and the server's rounding to milliseconds. */
export function driftMargin(ttl: number): number {
  return ttl * 0.01 + 2;
}

/** Until when a lease of `ttl` is believed that was asked for at `sentAt`. */
export function believedUntil(sentAt: number, ttl: number): number {
  return sentAt + ttl - driftMargin(ttl);
}

/** The last answer that said "not yet": when its question was sent, and the server's own time of it. */
export interface NotYet {
  readonly sentAt: number;
  readonly at: number | undefined;
}

/**
 * Since when a pushed grant counts, or `undefined` if it is older than the last "not yet" and so void.
 *
 * The server said "not yet" after our question was sent, and granted `grantedAt - notYet.at` later by its own clock. So the
 * grant was made no earlier than that long after the question was sent, less what the clocks may run apart, and it was made
 * before it arrived here. No round trip is needed, and a message that lay about while this process was frozen dates itself.
 */
export function pushedSince(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined {
  if (grantedAt === undefined || notYet.at === undefined || grantedAt <= notYet.at) return undefined;
  return Math.min(now, notYet.sentAt + (grantedAt - notYet.at) * 0.99);
}

/**
 * The same for a lock that hangs from a session: its lease is the session's, whose own renewals say until when it is believed. So
 * all there is to know is whether the grant came after the "not yet", in the server's own order.
 */
export function pushedAfter(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined {
  return grantedAt === undefined || notYet.at === undefined || grantedAt <= notYet.at ? undefined : now;
}
