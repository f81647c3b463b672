import { lua } from './script.js';
import { ASIDE, TOKEN_STEP } from './state.js';

/** What all that follows goes by. */
export const RELEASE_READ = lua`
local read = redis.call('HMGET', KEYS[k], 't', 'o', 'e', 'n', 'r', 's', 'g')
`;

/**
 * What a release comes to where nobody waits, nothing is kept closed, and the counter stays. That it was held is also said of a lease that
 * has ended: whoever takes the lock after it takes these fields, so until now nobody else was in.
 */
export const RELEASE_QUIET = lua`
if read[2] == ARGV[a + 1] and not read[6] and KEEP > 0 and (ARGV[a + 2] or '0') == '0' then
  redis.call('HDEL', KEYS[k], 'o', 'e')
  return 1
end
`;

/**
 * What it comes to where a plain lock goes on to the first in line, who is there: without the functions of the rest, whose definition
 * takes longer than all this. Needs `listens` and `tell`.
 */
export const releaseTo = (clock: string) => lua`
if read[2] == ARGV[a + 1] and read[6] and not (read[4] or read[5]) and (ARGV[a + 2] or '0') == '0' then
  local head = redis.call('ZRANGEBYSCORE', KEYS[k + 1], '-inf', '(${ASIDE}', 'LIMIT', 0, 1)[1]
  local record = head and redis.call('HGET', KEYS[k], 'w:' .. head)
  local claim, deadline = string.match(record or '', '^x (%d+) (%d+)')
  if claim then
    ${clock}
    local ends = us / 1000 + claim
    if tonumber(deadline) > us / 1000 and (tonumber(read[7]) or 0) >= ends + KEEP then
      local to, token = string.match(head, '^(.*):'), string.format('%d', math.max(read[1] + ${TOKEN_STEP}, us))
      local own = to == string.match(ARGV[a + 1], '^(.*):')
      if own or listens(to) then
        redis.call('ZREM', KEYS[k + 1], head)
        redis.call('HDEL', KEYS[k], 'w:' .. head)
        redis.call('HSET', KEYS[k], 't', token, 'o', head, 'e', string.format('%d', ends))
        if own then return { 1, us, head, token } end
        tell(to, 'g ' .. head .. ' ' .. token .. ' ' .. string.format('%d', us))
        return { 1, us }
      end
    end
  end
end
`;

/**
 * ARGV: owner, milliseconds to keep the key closed, numbers of those it took the key over from, " <number> <number> "; what is not
 * needed may be left out where nothing follows
 * Answer: 1, or {was it held (0, 1), and 2 more if the line is to be served further by asking again, server µs, mine…}
 */
export const RELEASE = lua`
local me, closed = ARGV[a + 1], tonumber(ARGV[a + 2] or 0)
mine, caller = {}, instance(me)
local L = load(k, read)
local held = 0
prove(L)
if L.owner == me then
  held = 1
  if closed > 0 then
    -- Nobody's, until then: renewals and releases of the old owner no longer match. Its end moved, so the head looks anew.
    L.owner, L.ends = me .. '~', now + closed
    redis.call('HSET', L.k, 'o', L.owner, 'e', whole(L.ends))
    live(L.k, closed + KEEP)
  else
    L.owner = nil
  end
elseif L.count > 0 and redis.call('ZREM', L.set, me) == 1 then
  held = 1
  local token = redis.call('HGET', L.k, 't:' .. me)
  redis.call('HDEL', L.k, 't:' .. me)
  if closed > 0 then
    redis.call('ZADD', L.set, whole(now + closed), me .. '~')
    redis.call('HSET', L.k, 't:' .. me .. '~', token)
    -- The last one's key went with it, and the new one has no end yet.
    live(L.set, closed)
    live(L.k, closed + KEEP)
  else
    L.count = L.count - 1
    if L.count == 0 then redis.call('HDEL', L.k, 'r') end
  end
elseif L.waiting then
  forget(L, me)
end
if L.waiting then
  serve(L, nil, 0)
  local head = held == 1 and closed > 0 and redis.call('ZRANGE', L.line, 0, 0)[1]
  if head then tell(instance(head), 'l ' .. head) end
end
if L.stored and not L.owner then redis.call('HDEL', L.k, 'o', 'e') end
idle(L)
return reply(L.more and held + 2 or held, us)
`;

/** ARGV: owner. Answer: as that of RELEASE, but always in full. The token stays; the lease goes on as it was. */
export const DOWNGRADE = lua`
local me = ARGV[1]
caller = instance(me)
local L = load(1)
prove(L)
if L.owner ~= me then return { L.count > 0 and redis.call('ZSCORE', L.set, me) and 1 or 0, us } end
redis.call('HDEL', L.k, 'o', 'e')
redis.call('HSET', L.k, 't:' .. me, whole(L.last), 'r', '1')
redis.call('ZADD', L.set, whole(L.ends), me)
live(L.set, L.ends - now)
L.owner, L.stored, L.count = nil, false, 1
if L.waiting then serve(L, nil, 0) end
return reply(L.more and 3 or 1, us)
`;

/** Answer: the owners that lost the key. Each is told through its inbox as well. */
export const FORCE = lua`
local L = load(1)
local victims = redis.call('ZRANGE', L.set, 0, -1)
redis.call('DEL', L.set)
for _, owner in ipairs(victims) do redis.call('HDEL', L.k, 't:' .. owner) end
redis.call('HDEL', L.k, 'o', 'e', 'r')
if L.owner then victims[#victims + 1] = L.owner end
for _, owner in ipairs(victims) do tell(instance(owner) or '', 'x ' .. owner) end
L.owner, L.stored, L.count = nil, false, 0
if L.waiting then serve(L, nil, 0) end
idle(L)
return victims
`;
