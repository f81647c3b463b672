import { lua } from './script.js';

/**
 * KEYS: the first and the last of each lock's. ARGV: "<owner> <ttl> " of each lock, in one: what the client makes of an argument is most
 * of what a renewal costs it
 * A lease is never shortened: the holder may believe in the longer one, when the answer to this is lost.
 * Answer: a digit for each lock, whether it is still held (0, 1). A key of another type is not our lock any more, and only that.
 * It begins with a write that changes nothing: where writes are refused the answer would be an old one, as at a replica, and a server whose
 * memory is full lets pass what follows a write that needs none.
 */
export const RENEW = lua`
local may = redis.pcall('HDEL', KEYS[1], '')
if type(may) == 'table' and not string.find(may.err, 'WRONGTYPE', 1, true) then return may end
local answer, i = {}, 0
for me, ttl in string.gmatch(ARGV[1], '(%S+) (%S+)') do
  i, ttl = i + 1, tonumber(ttl)
  local k, set = KEYS[i * 2 - 1], KEYS[i * 2]
  local f = redis.pcall('HMGET', k, 'o', 'e', 'r')
  answer[i] = 0
  if not f.err and f[1] == me then
    if tonumber(f[2]) > now then
      redis.call('HSET', k, 'e', whole(math.max(tonumber(f[2]), now + ttl)))
      answer[i] = 1
    end
  elseif not f.err and f[3] then
    local ends = redis.call('ZSCORE', set, me)
    if ends and tonumber(ends) > now then
      redis.call('ZADD', set, 'GT', whole(now + ttl), me)
      live(set, ttl)
      answer[i] = 1
    end
  end
  if answer[i] == 1 then live(k, ttl + KEEP) end
end
return table.concat(answer)
`;

/** What of a renewal needs the exclusive owner's field only, for one lock. */
export const RENEW_ALONE = lua`
local me, ttl = string.match(ARGV[1], '(%S+) (%S+)')
redis.call('HDEL', KEYS[1], '')
local f = redis.call('HMGET', KEYS[1], 'o', 'e', 'r')
if f[1] == me and tonumber(f[2]) > now then
  redis.call('HSET', KEYS[1], 'e', whole(math.max(tonumber(f[2]), now + ttl)))
  live(KEYS[1], ttl + KEEP)
  return '1'
end
if not f[3] then return '0' end
`;

/**
 * Writes a pushed grant once more, as it is, so that this connection can wait until the replicas have it.
 * ARGV: owner. Answer: {is it held (0, 1)}
 */
export const CONFIRM = lua`
redis.call('HDEL', KEYS[1], '')
local f = redis.call('HMGET', KEYS[1], 't', 'o', 'r')
if f[2] ~= ARGV[1] and not (f[3] and redis.call('ZSCORE', KEYS[3], ARGV[1])) then return { 0 } end
redis.call('HSET', KEYS[1], 't', f[1])
return { 1 }
`;
