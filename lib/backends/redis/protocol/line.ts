import { lua } from './script.js';
import { ASIDE, MOST_PASSED, MOST_TIDIED, SOON_LOOK_MS, STAND_BACK_MS } from './state.js';

/** Who waits, and who comes next. Needs `LOCK`, `listens` and `tell`. */
export const LINE = lua`
-- How many entries of lines may still be passed over.
local budget = ${MOST_PASSED}

-- Until when somebody who has only just come stands back for those that were set aside: they may be reconnecting, all of them, and
-- the one who let go would otherwise take the lock again at once, and again. Dead ones cost this once.
local function standBack(L)
  if not L.waiting then return false end
  L.aside = L.aside or tonumber(redis.call('HGET', L.k, 'h') or 0)
  return L.aside > now and L.aside
end

-- Those who are out of reach, as score and owner: they keep their place among each other and get it back when they ask again, but
-- nobody has to pass over them another time.
local function setAside(L, away)
  redis.call('ZADD', L.line, 'XX', unpack(away))
  L.aside = now + ${STAND_BACK_MS}
  redis.call('HSET', L.k, 'h', whole(L.aside))
end

-- What waiters left about themselves.
local function records(L, owners)
  local fields = {}
  for i, owner in ipairs(owners) do fields[i] = 'w:' .. owner end
  return redis.call('HMGET', L.k, unpack(fields)), fields
end

-- Of those set aside the first few who have been silent for too long are forgotten.
local function tidy(L)
  local aside = redis.call('ZRANGEBYSCORE', L.line, ${ASIDE}, '+inf', 'LIMIT', 0, ${MOST_TIDIED})
  if #aside == 0 then return end
  local gone, said, fields = {}, records(L, aside)
  local left = {}
  for i, owner in ipairs(aside) do
    local _, _, there = waiter(said[i])
    if not there then
      gone[#gone + 1] = owner
      left[#left + 1] = fields[i]
    end
  end
  if #gone == 0 then return end
  redis.call('ZREM', L.line, unpack(gone))
  redis.call('HDEL', L.k, unpack(left))
end

-- Hands the lock to whoever is first in line and can be reached, and on while more fit. Returns the token if 'me' was served, and
-- whether somebody who is there still waits in front. Whoever is told of a grant has it by then.
local function serve(L, me, myTtl, newcomer)
  local token, size = nil, 1
  tidy(L)
  -- Behind an exclusive holder nobody fits, so the line need not be looked at.
  while not L.owner do
    local found = redis.call('ZRANGEBYSCORE', L.line, '-inf', '(${ASIDE}', 'WITHSCORES', 'LIMIT', 0, size)
    if #found == 0 then
      if redis.call('ZCARD', L.line) == 0 then nobodyWaits(L) end
      return token, false
    end
    local heads = {}
    for i = 1, #found, 2 do heads[#heads + 1] = found[i] end
    local said = records(L, heads)
    local away, blocked = {}, false
    for i, head in ipairs(heads) do
      local to = instance(head)
      local mode, claim, there = waiter(said[i])
      if not mode or not (there or head == me) then
        forget(L, head)
      elseif head ~= me and to ~= caller and not listens(to) then
        away[#away + 1] = whole(found[i * 2] + ${ASIDE})
        away[#away + 1] = head
      elseif not open(L, mode) then
        blocked = true
      elseif head == me then
        if #away > 0 then setAside(L, away) end
        away = {}
        L.till = newcomer and standBack(L)
        blocked = L.till
        if not blocked then
          forget(L, head)
          token = take(L, head, mode, myTtl)
        end
      elseif to == caller then
        forget(L, head)
        mine[#mine + 1] = head
        mine[#mine + 1] = take(L, head, mode, claim)
      else
        forget(L, head)
        local granted = take(L, head, mode, claim)
        tell(to, 'g ' .. head .. ' ' .. whole(granted) .. ' ' .. whole(us))
      end
      if blocked then break end
    end
    if #away > 0 then setAside(L, away) end
    if blocked then return token, true end
    budget, size = budget - #heads, math.min(size * 4, 64)
    if budget <= 0 then
      L.till, L.more = now + ${SOON_LOOK_MS}, true
      return token, true
    end
  end
  return token, true
end

-- The limit in force, if somebody uses the key as another sort of lock than this. Those in line count only while they can be reached.
local function conflict(L, mode, limit)
  local wanted = mode == 'p' and limit or nil
  if L.n == wanted then return nil end
  local waits = L.waiting
  if waits and not L.owner and L.count == 0 then
    -- The answer to a conflict has no room for grants.
    local asker = caller
    caller = nil
    local _, blocked = serve(L, nil, 0)
    caller, waits = asker, blocked
    if L.more then return nil end
  end
  if L.owner or L.count > 0 or waits then return L.n or 1 end
  L.stale, L.n = L.n and not wanted, wanted
end
`;
