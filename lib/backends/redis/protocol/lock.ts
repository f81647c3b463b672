import { lua } from './script.js';
import { LONGER, MOST_PASSED, NEAR_LOOK_MS, TOKEN_STEP } from './state.js';

/** What the verbs are made of. Works on `L`, a lock as it was read; needs KEEP and the clock. */
export const LOCK = lua`
-- Grants to waiters of the caller's own instance: they travel back in the reply, not through its inbox.
local mine, caller = {}, nil

local function instance(owner) return string.match(owner, '^(.*):') end

-- Writes nothing, but is refused where writes are: at a replica, whose answer would be an old one. Everything after it is taken for the
-- rest of what has begun, so that a server whose memory is full lets it pass.
local function prove(L) redis.call('HDEL', L.k, '') end

-- The same for one who has no lock yet: refused also where there is no room for more.
local function room(L) redis.call('ZADD', L.line, 'XX', 0, '') end

local function forget(L, owner)
  redis.call('HDEL', L.k, 'w:' .. owner)
  return redis.call('ZREM', L.line, owner) == 1
end

-- What a waiter left about itself: its mode, its claim, and whether it was heard of lately.
local function waiter(record)
  local mode, claim, deadline = string.match(record or '', '^(%a) (%d+) (%d+)')
  return mode, tonumber(claim), mode ~= nil and tonumber(deadline) > now
end

-- A key that ended by itself told of nobody in it: what they left in the hash goes, a part of it each time.
local function sweep(L, mark)
  local cursor, rounds, gone = '0', 0, 0
  repeat
    local page = redis.call('HSCAN', L.k, cursor, 'MATCH', mark .. '*', 'COUNT', ${MOST_PASSED})
    for i = 1, #page[2], 2 do redis.call('HDEL', L.k, page[2][i]) end
    cursor, rounds, gone = page[1], rounds + 1, gone + #page[2] / 2
  until cursor == '0' or rounds == 8 or gone >= ${MOST_PASSED}
end

-- Nobody is left in line: the last one was served, or the line ended when all had been silent for so long. Then there is more in
-- the hash than the fields that have one letter, and one for each other holder.
local function nobodyWaits(L)
  redis.call('HDEL', L.k, 's', 'h')
  L.waiting = false
  if redis.call('HLEN', L.k) > 6 + L.count then sweep(L, 'w:') end
end

-- Reads a lock, unless it was read before, and forgets the holders whose leases have ended.
local function load(i, f)
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
  return L
end

-- Whether one more of this mode fits beside the present holders: x alone, s beside shared ones, p while permits are left.
local function open(L, mode)
  if L.owner then return false end
  if mode == 'x' then return L.count == 0 end
  return mode == 's' or L.count < L.n
end

-- The lock's own key lives at least that long. A little more spares the next ones the look, and its replicas the write.
local function endure(L, ms)
  if L.g >= now + ms then return end
  local left = math.max(redis.call('PTTL', L.k), ms + KEEP * ${LONGER})
  redis.call('PEXPIRE', L.k, whole(left + 1))
  L.g = now + left
  redis.call('HSET', L.k, 'g', whole(L.g))
end

-- The limit in force is that of this mode: nobody uses the lock as another sort.
local function kind(L, mode)
  if mode == 'p' then redis.call('HSET', L.k, 'n', L.n) elseif L.stale then redis.call('HDEL', L.k, 'n') end
  L.stale = nil
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
  kind(L, mode)
  endure(L, ttl + KEEP)
  return L.last
end

-- Renews the lease of a holder that asks once more, and returns its token.
local function again(L, owner, ttl)
  prove(L)
  live(L.k, ttl + KEEP)
  if L.owner == owner then
    redis.call('HSET', L.k, 'e', whole(math.max(L.ends, now + ttl)))
    return L.last
  end
  redis.call('ZADD', L.set, 'GT', whole(now + ttl), owner)
  live(L.set, ttl)
  return tonumber(redis.call('HGET', L.k, 't:' .. owner))
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
