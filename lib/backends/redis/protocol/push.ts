import { lua } from './script.js';
import { INBOX } from './state.js';

/**
 * `listens`: whether a process listens at this server, asked once a script. Asking is no message, so nothing is told before it is written,
 * and a process that listens at a replica only, which repeats what the primary publishes, is none that listens. `tell`: tells it something.
 * It must not fail: what it tells of is written by then. A user who may not ask or tell hands nothing over; its waiters look for themselves.
 */
export const PUSH = lua`
local listening = {}
local function listens(instance)
  if listening[instance] == nil then
    local count = redis.pcall('PUBSUB', 'NUMSUB', '${INBOX}' .. instance)[2]
    listening[instance] = count ~= nil and count > 0
  end
  return listening[instance]
end

local function tell(instance, message) redis.pcall('PUBLISH', '${INBOX}' .. instance, message) end
`;

/**
 * The same in a cluster. There an instance has an inbox for each slot that it waits in, and listens to it at the node that has the slot,
 * which is the one that runs this script: so the count is right although it is this node's only. The last of ARGV is the inbox's
 * name up to the instance; it has the slot's own tag, as the server asks of a sharded channel. A server that has no sharded
 * channels (before Redis 7) publishes a plain one, which is heard here first and then carried around the cluster for nothing.
 */
export const PUSH_IN_SLOT = lua`
local listening, plain = {}, false
local function listens(instance)
  if listening[instance] == nil then
    local count = redis.pcall('PUBSUB', 'SHARDNUMSUB', ARGV[#ARGV] .. instance)[2]
    if count == nil then
      plain = true
      count = redis.pcall('PUBSUB', 'NUMSUB', ARGV[#ARGV] .. instance)[2]
    end
    listening[instance] = count ~= nil and count > 0
  end
  return listening[instance]
end

local function tell(instance, message)
  if not listens(instance) then return end
  redis.pcall(plain and 'PUBLISH' or 'SPUBLISH', ARGV[#ARGV] .. instance, message)
end
`;
