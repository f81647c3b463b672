import { MOST_UNCONFIRMED } from '../../backend.js';

const SECOND = 1_000_000;

/** How far the next token is from the last: further than a process counts by itself. */
export const TOKEN_STEP = MOST_UNCONFIRMED + 1;
/** A waiter is served only while it was heard of in this time, in microseconds; every look refreshes it. */
export const WAITER_SILENCE_US = 15 * SECOND;
/** How long newcomers stand back when everybody in line was out of reach at the release, in microseconds: time to reconnect. */
export const STAND_BACK_US = SECOND / 4;
/** How soon to look again at the head of the line and far behind it, in milliseconds: there is nothing to see but a lost message. */
export const FAR_LOOK_MS = 5_000;
/** Just behind the head, in milliseconds: whoever is served next may freeze, and the claim then ends unannounced. */
export const NEAR_LOOK_MS = 1_000;
/** How many waiters out of reach one call passes over. Each process among them costs an entry in the server's lock table. */
export const MOST_PASSED_OVER = 1_000;
/**
 * How much longer than its claim a hand-over that waits for the disk vouches for those after it, which then need not, in microseconds. One in
 * two seconds is no burden; after a crash a key is kept closed for as long.
 */
export const FIRM_EXTRA_US = 2 * SECOND;
/** The longest claim that is handed over without waiting for the disk, in microseconds. */
export const LONGEST_CLAIM_US = 10 * SECOND;
