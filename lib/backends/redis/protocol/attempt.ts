import { lua } from './script.js';
import { ASIDE, FAR_LOOK_MS, LINE_MS, NEAR_LOOK_MS, outlive, TOKEN_STEP, WAITER_SILENCE_MS } from './state.js';

/**
 * The same as what follows it comes to for a plain lock that nobody else uses, in three calls and without the rest of the
 * script: defining a dozen functions costs Redis more than these calls do. The one difference: where the key must live longer for the new
 * holder, it may be for less than it would have lived without.
 * @param clock reads the server's time, where that was not done before
 */
export const attemptFree = (clock: string) => lua`
local read = redis.call('HMGET', KEYS[k], 't', 'o', 'e', 'n', 'r', 's', 'g')
if not (read[2] or read[4] or read[5] or read[6]) and string.byte(ARGV[a + 3]) == 120 then
  ${clock}
  local token, ends = math.max((tonumber(read[1]) or 0) + ${TOKEN_STEP}, us), us / 1000 + ARGV[a + 2]
  redis.call('HSET', KEYS[k], 't', string.format('%d', token), 'o', ARGV[a + 1], 'e', string.format('%d', ends))
  ${outlive('read[7]', 'ARGV[a + 2]')}
  return token
end
`;

/** As above, for one who joins the line of such a lock, the first time: the present holder is alone, and is asked for nothing. Needs `listens`. */
export const attemptBehind = (clock: string) => lua`
if read[2] and read[2] ~= ARGV[a + 1] and not (read[4] or read[5]) then
  ${clock}
  local now, arrival = math.floor(us / 1000), (tonumber(read[6]) or 0) + 1
  local claim = string.match(ARGV[a + 3], '^x 1 (%d+) 1$')
  -- Now and then somebody has to look after the life of the line, and of the lock's key if that may end before.
  local lasting = arrival % 16 > 1 and (tonumber(read[7]) or 0) >= now + ${LINE_MS}
  if claim and tonumber(read[3]) > now and lasting and redis.call('ZADD', KEYS[k + 1], 'NX', arrival, ARGV[a + 1]) == 1 then
    local deadline = string.format('%d', now + ${WAITER_SILENCE_MS})
    redis.call('HSET', KEYS[k], 's', arrival, 'w:' .. ARGV[a + 1], 'x ' .. claim .. ' ' .. deadline)
    -- The newest is the last of those who were not set aside.
    local rank = redis.call('ZRANK', KEYS[k + 1], ARGV[a + 1])
    local ahead = rank > 0 and redis.call('ZRANGE', KEYS[k + 1], rank - 1, rank - 1)[1] or read[2]
    -- The line's key went with the last one that was in it.
    if rank == 0 and redis.call('ZCARD', KEYS[k + 1]) == 1 then redis.call('PEXPIRE', KEYS[k + 1], ${LINE_MS}) end
    local look = (rank == 0 or rank > 3) and ${FAR_LOOK_MS} or ${NEAR_LOOK_MS}
    local status = listens(string.match(ARGV[a + 1], '^(.*):')) and 0 or 2
    return { status, math.min(look, read[3] - now + 1), us, read[2], ahead }
  end
end
`;

/**
 * ARGV: owner, ttl, "<mode: x, s, p> <limit> <claim ms> <join the line: 0, 1>"
 * Answer: a token, or {1, token, server µs, mine…} granted; {0, look again in ms, server µs, a holder, who is directly ahead, mine…} busy;
 * {2, …} the same, and the inbox of the one who joined does not stand at this server; {-1, limit in force} a conflict of kinds
 */
export const ATTEMPT = lua`
local me, ttl = ARGV[a + 1], tonumber(ARGV[a + 2])
local mode, limit, claim, join = string.match(ARGV[a + 3], '^(%a) (%d+) (%d+) (%d)$')
mine, caller, join = {}, instance(me), join == '1'
local L = load(k, read)
-- The reply to an earlier sending was lost, or a pushed grant was: it is ours, and the lease counts from this sending.
if L.owner == me or (L.count > 0 and redis.call('ZSCORE', L.set, me)) then return { 1, again(L, me, ttl), us } end
local place = L.waiting and redis.call('ZSCORE', L.line, me)
-- What it writes takes no more room than it has already.
if place then prove(L) end
local other = conflict(L, mode, tonumber(limit))
if other then
  if not (place and forget(L, me)) then prove(L) end
  return { -1, other }
end
-- There are more out of reach than one script passes over: who asks again goes on from there.
if L.more then return { 0, L.till - now, us, '', '' } end
if not L.waiting and open(L, mode) then return { 1, take(L, me, mode, ttl), us } end
local token, blocked, newcomer = nil, not L.waiting, false
if join then
  local arrival = (tonumber(L.waiting) or 0) + 1
  local record = mode .. ' ' .. claim .. ' ' .. whole(now + ${WAITER_SILENCE_MS})
  if not place then
    redis.call('ZADD', L.line, whole(arrival), me)
    redis.call('HSET', L.k, 's', whole(arrival), 'w:' .. me, record)
    kind(L, mode)
    L.waiting, newcomer = arrival, true
  else
    -- One that was set aside is where it was.
    if tonumber(place) >= ${ASIDE} then redis.call('ZADD', L.line, whole(place - ${ASIDE}), me) end
    redis.call('HSET', L.k, 'w:' .. me, record)
    arrival = 0
  end
  -- Whoever looks again keeps the line alive; of those who come the first, and now and then one.
  if arrival % 16 < 2 or redis.call('ZCARD', L.line) == 1 then
    live(L.line, ${LINE_MS}, ${LINE_MS / 2})
    live(L.k, ${LINE_MS}, ${LINE_MS / 2})
  end
end
if L.waiting then token, blocked = serve(L, join and me or nil, ttl, newcomer) end
if not join and not blocked and open(L, mode) then
  -- Everybody in line is out of reach, and maybe the caller has a place there as well.
  L.till = not (place and forget(L, me)) and standBack(L)
  if not L.till then token = take(L, me, mode, ttl) end
end
if token then return reply(1, token, us) end
if not join then prove(L) end
local look, holder = remaining(L)
if L.till then look = L.till - now + 1 end
local rank = join and redis.call('ZRANK', L.line, me)
look = math.min(look, rank and (rank == 0 or rank > 3) and ${FAR_LOOK_MS} or ${NEAR_LOOK_MS})
local ahead = ''
if rank then ahead = rank > 0 and redis.call('ZRANGE', L.line, rank - 1, rank - 1)[1] or holder end
return reply(join and not listens(caller) and 2 or 0, look, us, holder, ahead)
`;

/**
 * All or none of several locks, without joining a line. One token for all, above each one's last.
 * KEYS: three for each lock. ARGV: owner, mode, limit, ttl for each lock
 * Answer: {1, server µs, token…}; {0, look again in ms, server µs, a holder}; {-1, limit in force, number of the lock}
 */
export const ATTEMPT_ALL = lua`
local all, highest = {}, us
for i = 1, #KEYS / 3 do
  local L, a = load(i * 3 - 2), i * 4 - 3
  L.me, L.mode, L.limit, L.ttl = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  L.held = L.owner == L.me or (L.count > 0 and redis.call('ZSCORE', L.set, L.me))
  if not L.held then
    room(L)
    local other = conflict(L, L.mode, L.limit)
    if other then return { -1, other, i } end
    -- Whoever is in line and can be reached comes first.
    local _, blocked = false, false
    if L.waiting then _, blocked = serve(L, nil, 0) end
    local till = L.till or (L.waiting and standBack(L))
    if blocked or till or not open(L, L.mode) then
      local look, holder = remaining(L)
      return { 0, till and till - now + 1 or look, us, holder }
    end
  end
  highest = math.max(highest, L.last + ${TOKEN_STEP})
  all[i] = L
end
local answer = { 1, us }
for i, L in ipairs(all) do
  if L.held then answer[i + 2] = again(L, L.me, L.ttl) else answer[i + 2] = take(L, L.me, L.mode, L.ttl, highest) end
end
return answer
`;
