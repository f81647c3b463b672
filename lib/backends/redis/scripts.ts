import { createHash } from 'node:crypto';

/**
 * The Redis protocol: one script for each verb, each one round trip.
 *
 * State of a lock, all under one hash tag:
 *   KEYS[1]  hash    t  last fencing token                     o  exclusive owner     e  end of its lease (server ms)
 *                    n  limit, while the key is a semaphore    r  set while KEYS[3] has members
 *                    s  arrival number, set while KEYS[2] has members
 *                    w:<owner>  a waiter: "<mode> <claim ms> <deadline, server ms>[ m]", m: it was out of reach
 *                    t:<owner>  token of a shared holder or of a permit's holder
 *                    h  until when newcomers stand back (server ms)
 *   KEYS[2]  zset    the line: waiting owners by arrival number
 *   KEYS[3]  zset    shared holders, or holders of permits, by the end of their leases (server ms)
 *
 * The flags spare the uncontended path the look at the other two keys. All three carry a time to live, so a lock that nobody
 * asks for any more vanishes, its counter included: tokens start from the server's clock in microseconds, so they grow all the same.
 *
 * Every verb is idempotent by owner: sent again it gives the same answer and changes nothing but the lease.
 */
export interface Script {
  readonly text: string;
  readonly sha: string;
  /**
   * What can be answered with KEYS[1] alone, or an error. While a slot of a cluster is on its way from one node to another, a
   * script with several keys only runs where all of them are, and most locks lack one of theirs; a single key is always somewhere.
   */
  readonly narrow?: Script;
}

export const KEYS_OF_A_LOCK = 3;

/** A waiter is served only while it was heard of in this time; every look refreshes it. Looks come at least every `FAR_LOOK_MS`. */
export const WAITER_SILENCE_MS = 15_000;
/** How soon to look again at the head of the line and far behind it: there is nothing to see but a lost message. */
const FAR_LOOK_MS = 5_000;
/** Just behind the head: whoever is served next may freeze, and the claim then ends unannounced. */
const NEAR_LOOK_MS = 1_000;
/** How long newcomers stand back when everybody in line was out of reach at the release: time to reconnect. */
const STAND_BACK_MS = 250;
/** Pushed grants of an instance go to this channel and its id. */
export const INBOX = 'lock-inbox:';

const lua = String.raw;

/**
 * The same as what follows it comes to for a plain lock that nobody else uses, in four calls and without the rest of the
 * script: defining a dozen functions costs Redis more than these calls do.
 */
const ATTEMPT_FREE = lua`
local read = redis.call('HMGET', KEYS[1], 't', 'o', 'e', 'n', 'r', 's')
if ARGV[2] == 'x' and not (read[2] or read[4] or read[5] or read[6]) then
  local clock = redis.call('TIME')
  local us = clock[1] * 1000000 + clock[2]
  local token = math.max((tonumber(read[1]) or 0) + 1, us)
  redis.call('HSET', KEYS[1], 't', token, 'o', ARGV[1], 'e', math.floor(us / 1000) + ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[4] + ARGV[7])
  return { 1, token, us }
end
`;

/** As above: nobody waits, nothing is kept closed, and the counter stays. */
const RELEASE_QUIET = lua`
local read = redis.call('HMGET', KEYS[1], 't', 'o', 'e', 'n', 'r', 's')
if read[2] == ARGV[1] and not read[6] and ARGV[2] == '0' and ARGV[3] ~= '0' then
  redis.call('HDEL', KEYS[1], 'o', 'e')
  return { 1, 0 }
end
`;

const CLOCK = lua`
local clock = redis.call('TIME')
local us = clock[1] * 1000000 + clock[2]
local now = math.floor(us / 1000)

-- The key lives at least that long; 'slack' spares a write where a little less will do.
local function live(key, ms, slack)
  if redis.call('PTTL', key) < ms - (slack or 0) then redis.call('PEXPIRE', key, ms) end
end
`;

/** Tells an instance something, and returns how many heard it. */
const PUSH = lua`
local function push(instance, message) return redis.call('PUBLISH', '${INBOX}' .. instance, message) end
`;

/**
 * The same in a cluster. There an instance has an inbox for each slot that it waits in, and listens to it at the node that has the slot,
 * which is the one that runs this script: so the count is right although it is this node's only. The last of ARGV is the inbox's
 * name up to the instance; it has the slot's own tag, as the server asks of a sharded channel. A server that has no sharded
 * channels (before Redis 7) publishes a plain one, which is heard here first and then carried around the cluster for nothing.
 */
const PUSH_IN_SLOT = lua`
local function push(instance, message)
  local heard = redis.pcall('SPUBLISH', ARGV[#ARGV] .. instance, message)
  if type(heard) == 'number' then return heard end
  return redis.call('PUBLISH', ARGV[#ARGV] .. instance, message)
end
`;

const STATE = lua`
-- Grants to waiters of the caller's own instance: they travel back in the reply, not through its inbox.
local mine, caller = {}, nil

local function whole(number) return string.format('%.0f', number) end
local function instance(owner) return string.match(owner, '^(.*):') end

local function forget(L, owner)
  redis.call('HDEL', L.k, 'w:' .. owner)
  return redis.call('ZREM', L.line, owner) == 1
end

-- What a waiter left about itself: its mode, its claim, and whether it was heard of lately.
local function waiter(L, owner)
  local mode, claim, deadline = string.match(redis.call('HGET', L.k, 'w:' .. owner) or '', '^(%a) (%d+) (%d+)')
  return mode, tonumber(claim), mode ~= nil and tonumber(deadline) > now
end

-- Reads a lock, unless it was read before, and forgets what has expired. The silent waiters at the head of a lock that nobody
-- holds are forgotten as well: they must not keep out who asks for several keys or for another kind of lock.
local function load(i, f)
  local L = { k = KEYS[i], line = KEYS[i + 1], set = KEYS[i + 2], count = 0 }
  f = f or redis.call('HMGET', L.k, 't', 'o', 'e', 'n', 'r', 's')
  L.last, L.n, L.waiting = tonumber(f[1]) or 0, tonumber(f[4]), f[6]
  if f[2] then
    L.stored = true
    if tonumber(f[3]) > now then L.owner, L.ends = f[2], tonumber(f[3]) end
  end
  if f[5] then
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', L.set, '-inf', now)) do
      redis.call('ZREM', L.set, gone)
      redis.call('HDEL', L.k, 't:' .. gone)
    end
    L.count = redis.call('ZCARD', L.set)
    if L.count == 0 then redis.call('HDEL', L.k, 'r') end
  end
  while L.waiting and not L.owner and L.count == 0 do
    local head = redis.call('ZRANGE', L.line, 0, 0)[1]
    if not head then
      redis.call('HDEL', L.k, 's')
      L.waiting = false
    elseif head ~= ARGV[1] then
      local _, _, there = waiter(L, head)
      if there then break end
      forget(L, head)
    else
      break
    end
  end
  return L
end

-- Whether one more of this mode fits beside the present holders: x alone, s beside shared ones, p while permits are left.
local function open(L, mode)
  if L.owner then return false end
  if mode == 'x' then return L.count == 0 end
  return mode == 's' or L.count < L.n
end

-- The limit in force, if somebody uses the key as another sort of lock than this.
local function clash(L, mode, limit)
  local wanted = mode == 'p' and limit or nil
  if (L.owner or L.count > 0 or L.waiting) and L.n ~= wanted then return L.n or 1 end
  L.stale, L.n = L.n and not wanted, wanted
end

-- Makes the owner a holder. The token grows also over a lost counter or another server, as long as their clocks do.
local function take(L, owner, mode, ttl, keep, token)
  L.last = token or math.max(L.last + 1, us)
  if mode == 'x' then
    L.owner, L.ends, L.stored = owner, now + ttl, true
    redis.call('HSET', L.k, 't', L.last, 'o', owner, 'e', L.ends)
  else
    L.count = L.count + 1
    redis.call('HSET', L.k, 't', L.last, 't:' .. owner, L.last, 'r', 1)
    redis.call('ZADD', L.set, now + ttl, owner)
    live(L.set, ttl)
  end
  if mode == 'p' then redis.call('HSET', L.k, 'n', L.n) elseif L.stale then redis.call('HDEL', L.k, 'n') end
  if L.waiting or L.count > 0 then live(L.k, ttl + keep) else redis.call('PEXPIRE', L.k, ttl + keep) end
  return L.last
end

-- Renews the lease of a holder that asks once more, and returns its token.
local function again(L, owner, ttl, keep)
  live(L.k, ttl + keep)
  if L.owner == owner then
    redis.call('HSET', L.k, 'e', math.max(L.ends, now + ttl))
    return L.last
  end
  redis.call('ZADD', L.set, 'GT', now + ttl, owner)
  live(L.set, ttl)
  return tonumber(redis.call('HGET', L.k, 't:' .. owner))
end

-- Until when somebody who has only just come stands back for the first ones in line, who were out of reach: if that is new,
-- they may be reconnecting, all of them, and the one who let go would otherwise take the lock again at once, and again. Dead
-- ones cost this once; asking again takes the mark off.
local function standBack(L, first)
  local till = tonumber(redis.call('HGET', L.k, 'h') or 0)
  if till > now then return till end
  local missed = false
  for _, owner in ipairs(redis.call('ZRANGE', L.line, 0, first - 1)) do
    local record = redis.call('HGET', L.k, 'w:' .. owner)
    if record and string.sub(record, -1) ~= 'm' then
      redis.call('HSET', L.k, 'w:' .. owner, record .. ' m')
      missed = true
    end
  end
  if not missed then return nil end
  redis.call('HSET', L.k, 'h', now + ${STAND_BACK_MS})
  return now + ${STAND_BACK_MS}
end

-- Hands the lock to whoever is first in line and can be reached, and on while more fit. An unreachable waiter keeps its
-- place and is passed over: it may be reconnecting. Returns the token if 'me' was served, and whether somebody who is there
-- still waits in front.
local function serve(L, me, myTtl, keep, newcomer)
  local skip, token = 0, nil
  while true do
    -- Behind an exclusive holder nobody fits, so the line need not be looked at.
    if L.owner then return token, true end
    local head = redis.call('ZRANGE', L.line, skip, skip)[1]
    if not head then
      if skip == 0 then
        redis.call('HDEL', L.k, 's')
        L.waiting = false
      end
      return token, false
    end
    local mode, claim, there = waiter(L, head)
    if not mode or not (there or head == me) then
      forget(L, head)
    elseif not open(L, mode) then
      return token, true
    elseif head == me then
      L.till = newcomer and skip > 0 and standBack(L, skip)
      if L.till then return nil, true end
      forget(L, head)
      token = take(L, head, mode, myTtl, keep)
    elseif caller and instance(head) == caller then
      forget(L, head)
      mine[#mine + 1] = head
      mine[#mine + 1] = take(L, head, mode, claim, keep)
    else
      local next = math.max(L.last + 1, us)
      if push(instance(head), 'g ' .. head .. ' ' .. whole(next) .. ' ' .. whole(us)) > 0 then
        forget(L, head)
        take(L, head, mode, claim, keep, next)
      else
        skip = skip + 1
      end
    end
  end
end

-- Until the present lease, or the first of several, ends.
local function remaining(L)
  if L.owner then return L.ends - now + 1, L.owner end
  local first = redis.call('ZRANGE', L.set, 0, 0, 'WITHSCORES')
  if first[1] then return tonumber(first[2]) - now + 1, first[1] end
  return ${NEAR_LOOK_MS}, ''
end

local function reply(...)
  local out = { ... }
  for i = 1, #mine do out[#out + 1] = mine[i] end
  return out
end

-- The counter stays for 'keep' after the last holder; without that nothing stays.
local function idle(L, keep)
  if keep == 0 and not (L.owner or L.count > 0 or L.waiting) then redis.call('DEL', L.k) end
end
`;

/**
 * ARGV: owner, mode (x, s, p), limit, ttl, claim ttl, join the line (0, 1), keep
 * Answer: {1, token, server µs, mine…} granted; {0, look again in ms, server µs, a holder, mine…} busy; {-1, limit in force} a clash of kinds
 */
const ATTEMPT = lua`
local me, mode, limit, ttl, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[7])
caller = instance(me)
local L = load(1, read)
-- The reply to an earlier sending was lost, or a pushed grant was: it is ours, and the lease counts from this sending.
if L.owner == me or (L.count > 0 and redis.call('ZSCORE', L.set, me)) then return { 1, again(L, me, ttl, keep), us } end
local other = clash(L, mode, limit)
if other then return { -1, other } end
if not L.waiting and open(L, mode) then return { 1, take(L, me, mode, ttl, keep), us } end
local join, token, blocked, newcomer = ARGV[6] == '1', nil, not L.waiting, false
if join then
  local arrival = (tonumber(L.waiting) or 0) + 1
  local record = mode .. ' ' .. ARGV[5] .. ' ' .. whole(now + ${WAITER_SILENCE_MS})
  if redis.call('ZADD', L.line, 'NX', arrival, me) == 1 then
    redis.call('HSET', L.k, 's', arrival, 'w:' .. me, record)
    L.waiting, newcomer = arrival, true
  else
    redis.call('HSET', L.k, 'w:' .. me, record)
    arrival = 0
  end
  -- Whoever looks again keeps the line alive; of those who come, now and then one.
  if arrival % 16 < 2 then
    live(L.line, ${WAITER_SILENCE_MS * 4}, ${WAITER_SILENCE_MS * 2})
    live(L.k, ${WAITER_SILENCE_MS * 4} + keep, ${WAITER_SILENCE_MS * 2})
  end
end
if L.waiting then token, blocked = serve(L, join and me or nil, ttl, keep, newcomer) end
if not join and not blocked and open(L, mode) then
  -- Everybody in line is out of reach, and maybe the caller has a place there as well.
  L.till = L.waiting and not forget(L, me) and standBack(L, redis.call('ZCARD', L.line))
  if not L.till then token = take(L, me, mode, ttl, keep) end
end
if token then return reply(1, token, us) end
local look, holder = remaining(L)
if L.till then look = L.till - now + 1 end
local rank = join and redis.call('ZRANK', L.line, me)
look = math.min(look, rank and (rank == 0 or rank > 3) and ${FAR_LOOK_MS} or ${NEAR_LOOK_MS})
return reply(0, look, us, holder)
`;

/**
 * All or none of several locks, without joining a line. One token for all, above each one's last.
 * KEYS: three for each lock. ARGV: keep, then owner, mode, limit, ttl for each lock
 * Answer: {1, server µs, token…}; {0, look again in ms, server µs, a holder}; {-1, limit in force, number of the lock}
 */
const ATTEMPT_ALL = lua`
local keep = tonumber(ARGV[1])
local all, highest = {}, us
for i = 1, #KEYS / 3 do
  local L, a = load(i * 3 - 2), i * 4 - 2
  L.me, L.mode, L.limit, L.ttl = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  L.held = L.owner == L.me or (L.count > 0 and redis.call('ZSCORE', L.set, L.me))
  if not L.held then
    local other = clash(L, L.mode, L.limit)
    if other then return { -1, other, i } end
    if L.waiting or not open(L, L.mode) then
      local look, holder = remaining(L)
      return { 0, look, us, holder }
    end
  end
  highest = math.max(highest, L.last + 1)
  all[i] = L
end
local answer = { 1, us }
for i, L in ipairs(all) do
  if L.held then answer[i + 2] = again(L, L.me, L.ttl, keep) else answer[i + 2] = take(L, L.me, L.mode, L.ttl, keep, highest) end
end
return answer
`;

/**
 * ARGV: owner, milliseconds to keep the key closed, keep
 * Answer: {was it held (0, 1), server µs, mine…}
 */
const RELEASE = lua`
local me, closed, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
caller = instance(me)
local L = load(1, read)
local held = 0
if L.owner == me then
  held = 1
  if closed > 0 then
    -- Nobody's, until then: renewals and releases of the old owner no longer match. Its end moved, so the head looks anew.
    L.owner, L.ends = me .. '~', now + closed
    redis.call('HSET', L.k, 'o', L.owner, 'e', L.ends)
    live(L.k, closed + keep)
  else
    L.owner = nil
  end
elseif L.count > 0 and redis.call('ZREM', L.set, me) == 1 then
  held = 1
  local token = redis.call('HGET', L.k, 't:' .. me)
  redis.call('HDEL', L.k, 't:' .. me)
  if closed > 0 then
    redis.call('ZADD', L.set, now + closed, me .. '~')
    redis.call('HSET', L.k, 't:' .. me .. '~', token)
  else
    L.count = L.count - 1
    if L.count == 0 then redis.call('HDEL', L.k, 'r') end
  end
elseif L.waiting then
  forget(L, me)
end
if L.waiting then
  serve(L, nil, 0, keep)
  local head = held == 1 and closed > 0 and redis.call('ZRANGE', L.line, 0, 0)[1]
  if head then push(instance(head), 'l ' .. head) end
end
if L.stored and not L.owner then redis.call('HDEL', L.k, 'o', 'e') end
idle(L, keep)
return reply(held, us)
`;

/**
 * KEYS: three for each lock. ARGV: keep, then owner, ttl for each lock
 * A lease is never shortened: the holder may believe in the longer one, when the answer to this is lost.
 * Answer: for each lock whether it is still held (0, 1). A key of another type is not our lock any more, and only that.
 */
const RENEW = lua`
local keep, answer = tonumber(ARGV[1]), {}
for i = 1, #KEYS / 3 do
  local k, set, me, ttl = KEYS[i * 3 - 2], KEYS[i * 3], ARGV[i * 2], tonumber(ARGV[i * 2 + 1])
  local f = redis.pcall('HMGET', k, 'o', 'e', 'r')
  answer[i] = 0
  if not f.err and f[1] == me then
    if tonumber(f[2]) > now then
      redis.call('HSET', k, 'e', math.max(tonumber(f[2]), now + ttl))
      answer[i] = 1
    end
  elseif not f.err and f[3] then
    local ends = redis.call('ZSCORE', set, me)
    if ends and tonumber(ends) > now then
      redis.call('ZADD', set, 'GT', now + ttl, me)
      live(set, ttl)
      answer[i] = 1
    end
  end
  if answer[i] == 1 then live(k, ttl + keep) end
end
return answer
`;

/** ARGV: owner, keep. Answer: {was it held (0, 1), server µs, mine…}. The token stays; the lease goes on as it was. */
const DOWNGRADE = lua`
local me, keep = ARGV[1], tonumber(ARGV[2])
caller = instance(me)
local L = load(1)
if L.owner ~= me then return { L.count > 0 and redis.call('ZSCORE', L.set, me) and 1 or 0, us } end
redis.call('HDEL', L.k, 'o', 'e')
redis.call('HSET', L.k, 't:' .. me, L.last, 'r', 1)
redis.call('ZADD', L.set, L.ends, me)
live(L.set, L.ends - now)
L.owner, L.stored, L.count = nil, false, 1
if L.waiting then serve(L, nil, 0, keep) end
return reply(1, us)
`;

/** ARGV: keep. Answer: the owners that lost the key. Each is told through its inbox as well. */
const FORCE = lua`
local keep = tonumber(ARGV[1])
local L = load(1)
local victims = redis.call('ZRANGE', L.set, 0, -1)
redis.call('DEL', L.set)
for _, owner in ipairs(victims) do redis.call('HDEL', L.k, 't:' .. owner) end
redis.call('HDEL', L.k, 'o', 'e', 'r')
if L.owner then victims[#victims + 1] = L.owner end
for _, owner in ipairs(victims) do push(instance(owner) or '', 'x ' .. owner) end
L.owner, L.stored, L.count = nil, false, 0
if L.waiting then serve(L, nil, 0, keep) end
idle(L, keep)
return victims
`;

/** Changes nothing. Answer: {limit in force, waiting, shared (0, 1), then owner, token, milliseconds left for each holder} */
const INSPECT = lua`
local k, line, set = KEYS[1], KEYS[2], KEYS[3]
local f = redis.call('HMGET', k, 't', 'o', 'e', 'n')
local holders, shared = {}, 0
if f[2] and tonumber(f[3]) > now then holders = { f[2], tonumber(f[1]), tonumber(f[3]) - now } end
local members = redis.call('ZRANGE', set, 0, -1, 'WITHSCORES')
for i = 1, #members, 2 do
  local left = tonumber(members[i + 1]) - now
  if left > 0 then
    shared = 1
    holders[#holders + 1] = members[i]
    holders[#holders + 1] = tonumber(redis.call('HGET', k, 't:' .. members[i]) or 0)
    holders[#holders + 1] = left
  end
end
local waiting = 0
for _, owner in ipairs(redis.call('ZRANGE', line, 0, -1)) do
  local deadline = string.match(redis.call('HGET', k, 'w:' .. owner) or '', '^%a %d+ (%d+)')
  if deadline and tonumber(deadline) > now then waiting = waiting + 1 end
end
local out = { shared == 1 and tonumber(f[4]) or 1, waiting, shared }
for i = 1, #holders do out[i + 3] = holders[i] end
return out
`;

function script(...parts: string[]): Script {
  const text = parts.join('');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * Writes a pushed grant once more, as it is, so that this connection can wait until the replicas have it.
 * ARGV: owner. Answer: {is it held (0, 1)}
 */
const CONFIRM = lua`
local f = redis.call('HMGET', KEYS[1], 't', 'o', 'r')
if f[2] ~= ARGV[1] and not (f[3] and redis.call('ZSCORE', KEYS[3], ARGV[1])) then return { 0 } end
redis.call('HSET', KEYS[1], 't', f[1])
return { 1 }
`;

/** What of a renewal needs the exclusive owner's field only. ARGV: keep, owner, ttl */
const RENEW_ALONE = lua`
local f = redis.call('HMGET', KEYS[1], 'o', 'e', 'r')
if f[1] == ARGV[2] and tonumber(f[2]) > now then
  redis.call('HSET', KEYS[1], 'e', math.max(tonumber(f[2]), now + ARGV[3]))
  live(KEYS[1], ARGV[3] + ARGV[1])
  return { 1 }
end
if not f[3] then return { 0 } end
`;

const ELSEWHERE = lua`
return redis.error_reply('TRYAGAIN the slot of this lock is on its way to another node')
`;

/** One server has one inbox for each instance. */
export const scripts = protocol(PUSH);

const inSlot = protocol(PUSH_IN_SLOT);
/** Those that push take one more argument: the name of the slot's inboxes up to the instance. */
export const clusterScripts: typeof scripts = {
  ...inSlot,
  attempt: { ...inSlot.attempt, narrow: script(ATTEMPT_FREE, ELSEWHERE) },
  release: { ...inSlot.release, narrow: script(RELEASE_QUIET, ELSEWHERE) },
  renew: { ...inSlot.renew, narrow: script(CLOCK, RENEW_ALONE, ELSEWHERE) },
};

function protocol(push: string) {
  return {
    attempt: script(ATTEMPT_FREE, CLOCK, push, STATE, ATTEMPT),
    attemptAll: script(CLOCK, push, STATE, ATTEMPT_ALL),
    release: script(RELEASE_QUIET, CLOCK, push, STATE, RELEASE),
    renew: script(CLOCK, RENEW),
    downgrade: script(CLOCK, push, STATE, DOWNGRADE),
    force: script(CLOCK, push, STATE, FORCE),
    inspect: script(CLOCK, INSPECT),
    confirm: script(CONFIRM),
  };
}
