/**
 * The Redis protocol: one script for each verb, each one round trip. Every verb is idempotent by owner: sent again it gives the
 * same answer and changes nothing but the lease.
 */
import { ATTEMPT, ATTEMPT_ALL, attemptBehind, attemptFree } from './attempt.js';
import { INSPECT } from './inspect.js';
import { DOWNGRADE, FORCE, RELEASE, RELEASE_QUIET, RELEASE_READ, releaseTo } from './release.js';
import { CONFIRM, RENEW, RENEW_ALONE } from './renew.js';
import { LINE } from './line.js';
import { LOCK } from './lock.js';
import { markRestart, REFUSE_AFTER_RESTART } from './restart.js';
import { lua, type Script, script } from './script.js';
import { PUSH, PUSH_IN_SLOT } from './push.js';
import { CLOCK, TIME } from './state.js';
import { RELEASED_FOR, takeOver } from './take-over.js';
import { together } from './together.js';

export { KEYS_OF_A_LOCK, type Script } from './script.js';
export { INBOX, WAITER_SILENCE_MS } from './state.js';
export { RELEASES, TAKES_OVER } from './together.js';

export interface Protocol {
  readonly attempt: Script;
  readonly attemptAll: Script;
  readonly release: Script;
  readonly renew: Script;
  readonly takeOver: Script;
  readonly downgrade: Script;
  readonly force: Script;
  readonly inspect: Script;
  readonly confirm: Script;
  /** Attempts, releases and takeovers of several locks. Not in a cluster, where they would have to share a slot. */
  readonly together: Script;
}

/** Where a verb's own KEYS and ARGV begin. */
const ALONE = lua`
local k, a = 1, 0
`;

const ELSEWHERE = lua`
return redis.error_reply('TRYAGAIN the slot of this lock is on its way to another node')
`;

/**
 * @param counterTtl how long a lock's fencing counter outlives its last holder, in milliseconds
 * @param guardMs how long a server that was restarted empty gives no locks, in milliseconds; `undefined` if it does at once
 */
export function protocol(counterTtl: number, guardMs?: number): Protocol {
  if (guardMs === undefined) return assemble(counterTtl, PUSH, '');
  const guarded = assemble(counterTtl, PUSH, REFUSE_AFTER_RESTART);
  const first = markRestart(guardMs);
  return {
    ...guarded,
    attempt: { ...guarded.attempt, first },
    attemptAll: { ...guarded.attemptAll, first },
    together: { ...guarded.together, first },
  };
}

/** The same for a cluster: what pushes takes one more argument, the name of the slot's inboxes up to the instance. */
export function clusterProtocol(counterTtl: number): Protocol {
  const inSlot = assemble(counterTtl, PUSH_IN_SLOT, '');
  const keep = keeping(counterTtl);
  return {
    ...inSlot,
    attempt: { ...inSlot.attempt, narrow: script(keep, ALONE, attemptFree(TIME), ELSEWHERE) },
    release: { ...inSlot.release, narrow: script(keep, ALONE, RELEASE_READ, RELEASE_QUIET, ELSEWHERE) },
    renew: { ...inSlot.renew, narrow: script(keep, CLOCK, RENEW_ALONE, ELSEWHERE) },
  };
}

const keeping = (counterTtl: number) => lua`
local KEEP = ${counterTtl}
`;

function assemble(counterTtl: number, push: string, refusal: string): Protocol {
  const keep = keeping(counterTtl);
  const state = LOCK + LINE;
  const all = CLOCK + push + state;
  return {
    attempt: script(keep, ALONE, refusal, attemptFree(TIME), push, attemptBehind(TIME), CLOCK, state, ATTEMPT),
    attemptAll: script(keep, refusal, all, ATTEMPT_ALL),
    release: script(
      keep,
      ALONE,
      RELEASE_READ,
      RELEASED_FOR,
      RELEASE_QUIET,
      push,
      releaseTo(TIME),
      CLOCK,
      state,
      RELEASE,
    ),
    renew: script(keep, CLOCK, RENEW),
    takeOver: script(keep, ALONE, takeOver(TIME)),
    downgrade: script(keep, all, DOWNGRADE),
    force: script(keep, all, FORCE),
    inspect: script(CLOCK, INSPECT),
    confirm: script(CONFIRM),
    together: script(keep, all, together(refusal)),
  };
}
