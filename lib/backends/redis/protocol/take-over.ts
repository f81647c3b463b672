import { lua } from './script.js';
import { LONGER } from './state.js';

/**
 * A key goes from one owner to another of the same instance, which is in force there already: nothing is decided here.
 * ARGV: owner, ttl, "> <token>" and the numbers of those who may still be the holder, each as " <number>", and " " at the end
 * Answer: 1, 2 when others in line were overtaken, 0 when the key was none of theirs
 * @param clock reads the server's time, where that was not done before
 */
export const takeOver = (clock: string) => lua`
  ${clock}
  local me, inside = ARGV[a + 1], string.match(ARGV[a + 1], '^(.*:)')
  local token, from = string.match(ARGV[a + 3], '^> (%d+)(.*)$')
  local function among(owner)
    local before, number = string.match(owner, '^(.*:)(%d+)$')
    return owner == me or (before == inside and string.find(from, ' ' .. number .. ' ', 1, true) ~= nil)
  end
  local read = redis.call('HMGET', KEYS[k], 't', 'o', 'e', 'g')
  local first = redis.call('ZRANGE', KEYS[k + 1], 0, 0)[1]
  redis.call('ZREM', KEYS[k + 1], me)
  redis.call('HDEL', KEYS[k], 'w:' .. me)
  local theirs = read[2] and among(read[2]) and tonumber(read[3]) > us / 1000
  -- Those in between are out of the line by now, unless a call was lost.
  if not theirs or read[2] ~= me and not string.find(from, ' ' .. string.sub(read[2], #inside + 1) .. ' $') then
    for number in string.gmatch(from, '%d+') do
      redis.call('ZREM', KEYS[k + 1], inside .. number)
      redis.call('HDEL', KEYS[k], 'w:' .. inside .. number)
    end
  end
  if not theirs then return 0 end
  local ends = us / 1000 + ARGV[a + 2]
  redis.call('HSET', KEYS[k], 'o', me, 't', string.format('%d', math.max(read[1], token)),
    'e', string.format('%d', math.max(read[3], ends)))
  if (tonumber(read[4]) or 0) < ends + KEEP then
    redis.call('HSET', KEYS[k], 'g', string.format('%d', ends + KEEP * ${1 + LONGER}))
    redis.call('PEXPIRE', KEYS[k], string.format('%d', ARGV[a + 2] + KEEP * ${1 + LONGER} + 1))
  end
  return (read[2] == me or not first or among(first)) and 1 or 2
`;
