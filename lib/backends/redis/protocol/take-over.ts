import { lua } from './script.js';
import { ASIDE, outlive } from './state.js';

/**
 * Whether the holder is this owner or one of those it took the key over from, and out of the line with all of them. Needs `me`; `from`,
 * their numbers as " <number> <number> "; and `read[2]`, the holder.
 */
const ADOPT = lua`
  local inside = string.match(me, '^(.*:)')
  local function among(owner)
    local before, number = string.match(owner, '^(.*:)(%d+)$')
    return owner == me or (before == inside and string.find(from, ' ' .. number .. ' ', 1, true) ~= nil)
  end
  local theirs, leaving, records = read[2] and among(read[2]), { me }, { 'w:' .. me }
  -- Where the key went no further before the server was told, the holder is the last of them, and those before it are out of the line.
  if read[2] ~= inside .. (string.match(from, '(%d+) $') or '') then
    for number in string.gmatch(from, '%d+') do
      leaving[#leaving + 1], records[#records + 1] = inside .. number, 'w:' .. inside .. number
    end
  end
  redis.call('ZREM', KEYS[k + 1], unpack(leaving))
  redis.call('HDEL', KEYS[k], unpack(records))
`;

/**
 * A key goes from one owner to another of the same instance, which is in force there already: nothing is decided here.
 * ARGV: owner, ttl, "> <token>" and the numbers of those who may still be the holder, " <number> <number> "
 * Answer: 1, 2 when others in line were overtaken, 0 when the key was none of theirs
 * @param clock reads the server's time, where that was not done before
 */
export const takeOver = (clock: string) => lua`
  ${clock}
  local me = ARGV[a + 1]
  local token, from = string.match(ARGV[a + 3], '^> (%d+)(.*)$')
  local read = redis.call('HMGET', KEYS[k], 't', 'o', 'e', 'g')
  local first = redis.call('ZRANGEBYSCORE', KEYS[k + 1], '-inf', '(${ASIDE}', 'LIMIT', 0, 1)[1]
  ${ADOPT}
  if not theirs or tonumber(read[3]) <= us / 1000 then return 0 end
  local ends = math.max(read[3], us / 1000 + ARGV[a + 2])
  redis.call('HSET', KEYS[k], 'o', me, 't', string.format('%d', math.max(read[1], token)), 'e', string.format('%d', ends))
  ${outlive('read[4]', 'ends - us / 1000')}
  return (read[2] == me or not first or among(first)) and 1 or 2
`;

/** Before a release: the holder may be one of those that the owner took the key over from. */
export const RELEASED_FOR = lua`
local from = string.match(ARGV[a + 3] or '', ' .*$')
if from and read[2] ~= ARGV[a + 1] then
  local me = ARGV[a + 1]
  ${ADOPT}
  if theirs then
    read[2] = me
    redis.call('HSET', KEYS[k], 'o', me)
  end
end
`;
