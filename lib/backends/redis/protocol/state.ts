import { MOST_UNCONFIRMED } from '../../backend.js';
import { lua } from './script.js';

/**
 * State of a lock, all under one hash tag:
 *   KEYS[1]  hash    t  last fencing token                     o  exclusive owner     e  end of its lease (server ms)
 *                    n  limit, while the key is a semaphore    r  set while KEYS[3] has members
 *                    s  arrival number, set while KEYS[2] has members
 *                    w:<owner>  a waiter: "<mode> <claim ms> <deadline, server ms>"
 *                    t:<owner>  token of a shared holder or of a permit's holder
 *                    h  until when newcomers stand back (server ms)
 *                    g  until when the key itself lives at least (server ms); never shortened while it is in use
 *   KEYS[2]  zset    the line: waiting owners by arrival number; those set aside by that number plus `ASIDE`, so behind everybody
 *   KEYS[3]  zset    shared holders, or holders of permits, by the end of their leases (server ms)
 *
 * The flags spare the uncontended path the look at the other two keys. All three carry a time to live, so a lock that nobody
 * asks for any more vanishes, its counter included: tokens start from the server's clock in microseconds, so they grow all the same.
 */

/** A waiter is served only while it was heard of in this time; every look refreshes it. Looks come at least every `FAR_LOOK_MS`. */
export const WAITER_SILENCE_MS = 15_000;
/** How long the line itself lives when nobody in it was heard of. */
export const LINE_MS = 4 * WAITER_SILENCE_MS;
/** How soon to look again at the head of the line and far behind it: there is nothing to see but a lost message. */
export const FAR_LOOK_MS = 5_000;
/** Just behind the head: whoever is served next may freeze, and the claim then ends unannounced. */
export const NEAR_LOOK_MS = 1_000;
/** How long newcomers stand back after somebody in line was found out of reach: time to reconnect. */
export const STAND_BACK_MS = 250;
/** More than any arrival number; the sum of both is still a whole number to Lua and to a sorted set. */
export const ASIDE = 2 ** 50;
/** How soon to look again when one script has not got through the line. */
export const SOON_LOOK_MS = 2;
/**
 * How many entries of lines one script passes over at most, so that the dead of a large process do not hold up everybody else on the
 * server: this many take it about half a millisecond. Whoever asked next goes on from there.
 */
export const MOST_PASSED = 128;
/** How many of those set aside are looked at in one go, to forget the silent ones. */
export const MOST_TIDIED = 64;
/**
 * How much longer than it must the key of a lock lives, in times of the counter's: while that lasts, nobody needs to write its time
 * to live, which would double what goes to replicas and into the log.
 */
export const LONGER = 0.25;
/**
 * For the short ways, which do without the functions below: the key outlives a lease that ends at `ends` for as long as the counter is to stay.
 * @param g what was read of the field of that name
 * @param ms how long the lease lasts from now
 */
export const outlive = (g: string, ms: string) => lua`
  if (tonumber(${g}) or 0) < ends + KEEP then
    redis.call('HSET', KEYS[k], 'g', string.format('%d', ends + KEEP * ${1 + LONGER}))
    redis.call('PEXPIRE', KEYS[k], string.format('%d', ${ms} + KEEP * ${1 + LONGER} + 1))
  end
`;
/** How far the next token is from the last: further than a process counts by itself. */
export const TOKEN_STEP = MOST_UNCONFIRMED + 1;
/** Pushed grants of an instance go to this channel and its id. */
export const INBOX = 'lock-inbox:';

/** The server's time in microseconds, which the tokens and the order of things go by, and in milliseconds, which leases go by. */
export const TIME = lua`
local clock = redis.call('TIME')
local us = clock[1] * 1000000 + clock[2]
`;

export const CLOCK = lua`
${TIME}
local now = math.floor(us / 1000)

-- Redis writes a number of Lua with 17 digits, which costs more than many a command; this writes the same, at once.
local function whole(number) return string.format('%d', number) end

-- The key lives at least that long; 'slack' spares a write where a little less will do.
local function live(key, ms, slack)
  if redis.call('PTTL', key) < ms - (slack or 0) then redis.call('PEXPIRE', key, whole(ms)) end
end
`;
