import { MOST_UNCONFIRMED } from '../../backend.js';
import { lua } from './script.js';

/**
 * State of a lock, all under one hash tag:
 *   KEYS[1]  hash    t  last fencing token                     o  exclusive owner     e  end of its lease (server ms)
 *                    n  limit, while the key is a semaphore    r  set while KEYS[3] has members
 *                    s  arrival number, set while KEYS[2] has members
 *                    w:<owner>  a waiter: "<mode> <claim ms> <deadline, server ms>[ m]", m: it was out of reach
 *                    t:<owner>  token of a shared holder or of a permit's holder
 *                    h  until when newcomers stand back (server ms)
 *                    g  until when the key itself lives at least (server ms); never shortened while it is in use
 *   KEYS[2]  zset    the line: waiting owners by arrival number
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
/** How long newcomers stand back when everybody in line was out of reach at the release: time to reconnect. */
const STAND_BACK_MS = 250;
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

/** Tells an instance something, and returns how many heard it. */
export const PUSH = lua`
local function push(instance, message) return redis.call('PUBLISH', '${INBOX}' .. instance, message) end
`;

/**
 * The same in a cluster. There an instance has an inbox for each slot that it waits in, and listens to it at the node that has the slot,
 * which is the one that runs this script: so the count is right although it is this node's only. The last of ARGV is the inbox's
 * name up to the instance; it has the slot's own tag, as the server asks of a sharded channel. A server that has no sharded
 * channels (before Redis 7) publishes a plain one, which is heard here first and then carried around the cluster for nothing.
 */
export const PUSH_IN_SLOT = lua`
local function push(instance, message)
  local heard = redis.pcall('SPUBLISH', ARGV[#ARGV] .. instance, message)
  if type(heard) == 'number' then return heard end
  return redis.call('PUBLISH', ARGV[#ARGV] .. instance, message)
end
`;

/** What the verbs are made of. Works on `L`, a lock as it was read; needs KEEP, the clock and `push`. */
export const STATE = lua`
-- Grants to waiters of the caller's own instance: they travel back in the reply, not through its inbox.
local mine, caller = {}, nil

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

-- A key that ended by itself told of nobody in it: what all of them left in the hash goes at once.
local function sweep(L, mark)
  for _, field in ipairs(redis.call('HKEYS', L.k)) do
    if string.sub(field, 1, 2) == mark then redis.call('HDEL', L.k, field) end
  end
end

-- Nobody is left in line: the last one was served, or the line ended when all had been silent for so long. Then there is more in
-- the hash than the fields that have one letter, and one for each other holder.
local function nobodyWaits(L)
  redis.call('HDEL', L.k, 's')
  L.waiting = false
  if redis.call('HLEN', L.k) > 7 + L.count then sweep(L, 'w:') end
end

-- Reads a lock, unless it was read before, and forgets what has expired. The silent waiters at the head of a lock that nobody
-- holds are forgotten as well: they must not keep out who asks for several keys or for another kind of lock.
local function load(i, me, f)
  local L = { k = KEYS[i], line = KEYS[i + 1], set = KEYS[i + 2], count = 0 }
  f = f or redis.call('HMGET', L.k, 't', 'o', 'e', 'n', 'r', 's', 'g')
  L.last, L.n, L.waiting, L.g = tonumber(f[1]) or 0, tonumber(f[4]), f[6], tonumber(f[7]) or 0
  if f[2] then
    L.stored = true
    if tonumber(f[3]) > now then L.owner, L.ends = f[2], tonumber(f[3]) end
  end
  if f[5] then
    local ended = redis.call('ZRANGEBYSCORE', L.set, '-inf', now)
    for _, gone in ipairs(ended) do
      redis.call('ZREM', L.set, gone)
      redis.call('HDEL', L.k, 't:' .. gone)
    end
    L.count = redis.call('ZCARD', L.set)
    if L.count == 0 then
      redis.call('HDEL', L.k, 'r')
      if #ended == 0 then sweep(L, 't:') end
    end
  end
  while L.waiting and not L.owner and L.count == 0 do
    local head = redis.call('ZRANGE', L.line, 0, 0)[1]
    if not head then
      nobodyWaits(L)
    elseif head ~= me then
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

-- The lock's own key lives at least that long. A little more spares the next ones the look, and its replicas the write.
local function endure(L, ms)
  if L.g >= now + ms then return end
  local left = math.max(redis.call('PTTL', L.k), ms + KEEP * ${LONGER})
  redis.call('PEXPIRE', L.k, whole(left + 1))
  L.g = now + left
  redis.call('HSET', L.k, 'g', whole(L.g))
end

-- Makes the owner a holder. The token grows also over a lost counter or another server, as long as their clocks do.
local function take(L, owner, mode, ttl, token)
  L.last = token or math.max(L.last + ${TOKEN_STEP}, us)
  if mode == 'x' then
    L.owner, L.ends, L.stored = owner, now + ttl, true
    redis.call('HSET', L.k, 't', whole(L.last), 'o', owner, 'e', whole(L.ends))
  else
    -- A lease that has ended, and until now nobody had come after it.
    if L.stored then redis.call('HDEL', L.k, 'o', 'e') end
    L.count, L.stored = L.count + 1, false
    redis.call('HSET', L.k, 't', whole(L.last), 't:' .. owner, whole(L.last), 'r', '1')
    redis.call('ZADD', L.set, whole(now + ttl), owner)
    live(L.set, ttl)
  end
  if mode == 'p' then redis.call('HSET', L.k, 'n', L.n) elseif L.stale then redis.call('HDEL', L.k, 'n') end
  endure(L, ttl + KEEP)
  return L.last
end

-- Renews the lease of a holder that asks once more, and returns its token.
local function again(L, owner, ttl)
  live(L.k, ttl + KEEP)
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
local function serve(L, me, myTtl, newcomer)
  local skip, token = 0, nil
  while true do
    -- Behind an exclusive holder nobody fits, so the line need not be looked at.
    if L.owner then return token, true end
    local head = redis.call('ZRANGE', L.line, skip, skip)[1]
    if not head then
      if skip == 0 then nobodyWaits(L) end
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
      token = take(L, head, mode, myTtl)
    elseif caller and instance(head) == caller then
      forget(L, head)
      mine[#mine + 1] = head
      mine[#mine + 1] = take(L, head, mode, claim)
    else
      local next = math.max(L.last + ${TOKEN_STEP}, us)
      if push(instance(head), 'g ' .. head .. ' ' .. whole(next) .. ' ' .. whole(us)) > 0 then
        forget(L, head)
        take(L, head, mode, claim, next)
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

-- The counter stays for KEEP after the last holder; without that nothing stays.
local function idle(L)
  if KEEP == 0 and not (L.owner or L.count > 0 or L.waiting) then redis.call('DEL', L.k) end
end
`;
