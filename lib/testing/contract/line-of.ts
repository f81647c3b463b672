import { strict as assert } from 'node:assert';
import { SessionEndedError } from '../../backends/backend.js';
import { within } from './patience.js';
import { LONG, type Stage } from './stage.js';
import type { Port, Wish } from './wish.js';

/** How soon something has to happen that a push brings about, in milliseconds. */
export const PROMPT = 5_000;

/** A holder in one process, and others behind it in order, each in a process of its own. */
export async function lineOf(
  stage: Stage,
  waiters: number,
  options: Parameters<Port['wish']>[1] = {},
): Promise<[Wish, ...Wish[]]> {
  const key = stage.key();
  const holder = await (await stage.port()).wish(key, { ttl: LONG, ...options });
  assert.equal((await holder.join()).granted, true);
  const behind: Wish[] = [];
  for (let i = 0; i < waiters; i++) {
    const wish = await (await stage.port()).wish(key, { ttl: LONG, ...options });
    assert.equal((await wish.join()).granted, false);
    behind.push(wish);
  }
  return [holder, ...behind];
}

/** Resolves when it is granted, which has to be soon. */
export const granted = (wish: Wish | undefined, what = 'the next in line is granted') => {
  assert(wish);
  return within(PROMPT, what, wish.granted());
};

/** A session backend may also say that the whole session is gone. */
export function endedSession(error: unknown): false {
  if (error instanceof SessionEndedError) return false;
  throw error;
}
