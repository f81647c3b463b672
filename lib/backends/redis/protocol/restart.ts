import { lua } from './script.js';

/** There while a server that was restarted empty gives no locks. It ends by itself. */
const RESTARTED = 'lock-restarted';

/**
 * Marks a server that was restarted less than so long ago and lost what it had: one of several servers that decide by majority must then give no
 * locks until all that it has forgotten have ended. One that writes each change to its log has lost nothing. A user who may not ask for INFO
 * learns neither, so the server counts as restarted just now.
 * @param guardMs how long it gives no locks, in milliseconds
 */
export const markRestart = (guardMs: number) => lua`
local function told(section, pattern)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and string.match(info, pattern) or nil
end
if told('persistence', 'aof_enabled:(%d)') == '1' then return 0 end
local left = ${guardMs} - (tonumber(told('server', 'uptime_in_seconds:(%d+)')) or 0) * 1000
if left > 0 then redis.call('SET', '${RESTARTED}', '1', 'PX', string.format('%d', left)) end
return left
`;

/** Before all else of an attempt. Answer: {-2, milliseconds for which the server gives no locks} */
export const REFUSE_AFTER_RESTART = lua`
local restarted = redis.call('PTTL', '${RESTARTED}')
if restarted > 0 then return { -2, restarted } end
`;
