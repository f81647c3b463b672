/**
 * The sums that exclusion rests on, on the monotonic clock of this process.
 *
 * The server starts a lease when the request arrives, which is never before it was sent. A lease that counts from the *sending* therefore
 * ends here before it ends there, however long the request or its reply took. (Some well-known libraries count from the reply. They trust
 * the lease too long, by the time that the reply took.)
 */

/** The difference between two clocks that is still safe: 1 % of the lease, and the server's rounding to milliseconds. */
export function driftMargin(ttl: number): number {
  return ttl * 0.01 + 2;
}

/** The end of a lease of `ttl` that was asked for at `sentAt`. */
export function believedUntil(sentAt: number, ttl: number): number {
  return sentAt + ttl - driftMargin(ttl);
}

/** The last answer "not yet": the time when its question was sent, and the server's own time of the answer. */
export interface NotYet {
  readonly sentAt: number;
  readonly at: number | undefined;
}

/**
 * The time from which a pushed grant counts, or `undefined` if it is older than the last "not yet" and so void.
 *
 * The server said "not yet" after our question was sent, and granted `grantedAt - notYet.at` later by its own clock. So the grant came at
 * least that long after the question was sent, less the difference between the clocks, and it came before it arrived here. This needs no
 * round trip, and a message that waited while this process was frozen dates itself.
 */
export function pushedSince(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined {
  if (grantedAt === undefined || notYet.at === undefined || grantedAt <= notYet.at) return undefined;
  return Math.min(now, notYet.sentAt + (grantedAt - notYet.at) * 0.99);
}

/**
 * The same for a lock in a session. Its lease is the session's, and the renewals of the session say until when it counts. You only need to
 * know whether the grant came after the "not yet", in the server's own order.
 */
export function pushedAfter(notYet: NotYet, grantedAt: number | undefined, now: number): number | undefined {
  return grantedAt === undefined || notYet.at === undefined || grantedAt <= notYet.at ? undefined : now;
}
