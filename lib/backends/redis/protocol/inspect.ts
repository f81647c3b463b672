import { lua } from './script.js';
import { ASIDE } from './state.js';

/** How many of those who wait are named. */
const MOST_WAITERS = 100;

/** Changes nothing. Answer: {limit in force, waiting, shared (0, 1), server µs, {owner, token, milliseconds left of each holder}, {first waiters}} */
export const INSPECT = lua`
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
local waiters = {}
local first = redis.call('ZRANGE', line, 0, ${MOST_WAITERS - 1})
for _, owner in ipairs(first) do
  local deadline = string.match(redis.call('HGET', k, 'w:' .. owner) or '', '^%a %d+ (%d+)')
  if deadline and tonumber(deadline) > now then waiters[#waiters + 1] = owner end
end
-- Of the rest those who were not set aside.
local rest = math.max(0, redis.call('ZCOUNT', line, '-inf', '(${ASIDE}') - ${MOST_WAITERS})
return { shared == 1 and tonumber(f[4]) or 1, #waiters + rest, shared, us, holders, waiters }
`;
