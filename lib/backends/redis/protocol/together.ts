import { ATTEMPT, attemptBehind, attemptFree } from './attempt.js';
import { RELEASE, RELEASE_QUIET, RELEASE_READ, releaseTo } from './release.js';
import { lua } from './script.js';
import { RELEASED_FOR, takeOver } from './take-over.js';

/** Instead of an attempt's third argument: a release. */
export const RELEASES = 'r';

/** What the third argument of a takeover begins with. */
export const TAKES_OVER = '>';

/**
 * Attempts, releases and takeovers of several locks, one after another, as if each had come alone: what defining the functions and calling
 * the script costs is paid once.
 * KEYS: three for each. ARGV: three for each, those of ATTEMPT, those of a takeover, or those of RELEASE with
 * `RELEASES` before the third
 * Answer: one for each up to the first that failed. Only if that is the very first the whole script fails, and so has done nothing.
 * @param refusal what an attempt begins with, where the server may have to refuse all
 */
export const together = (refusal: string) => lua`
local function attempt(k, a)
${refusal}
${attemptFree('')}
${attemptBehind('')}
${ATTEMPT}
end

local function release(k, a)
${RELEASE_READ}
${RELEASED_FOR}
${RELEASE_QUIET}
${releaseTo('')}
${RELEASE}
end

local function take_over(k, a)
${takeOver('')}
end

local verbs = { ['${RELEASES}'] = release, ['${TAKES_OVER}'] = take_over }
local answers = {}
for a = 0, #ARGV - 1, 3 do
  local done, answer = pcall(verbs[string.sub(ARGV[a + 3], 1, 1)] or attempt, a + 1, a)
  if done then
    answers[#answers + 1] = answer
  elseif a > 0 then
    break
  else
    return type(answer) == 'table' and answer or redis.error_reply(answer)
  end
  -- Each comes later than the one before, also in the eyes of those who compare when they were answered.
  us = us + 1
end
return answers
`;
