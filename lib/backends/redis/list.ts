import type { KeyState, ListPage, ListQuery } from '../backend.js';
import { listOf, strangeAnswer } from './answers.js';
import { nameOf } from './keys.js';
import type { RedisLink } from './link.js';

/** How many places of its table the server looks at in one go: well under a millisecond. */
const COUNT = 250;
/** How often it is asked to for one page, so that a page comes soon also where locks are few among many other keys. */
const MOST_SCANS = 20;

/** A page of keys that are held or waited for, by `SCAN`, of one master after another. */
export async function listKeys(
  link: RedisLink,
  { prefix, limit, cursor = '0 0' }: ListQuery,
  inspect: (key: string) => Promise<KeyState>,
): Promise<ListPage> {
  const masters = (await link.masters?.()) ?? [(...words: readonly string[]) => link.call(...words)];
  const before = link.keyPrefix ?? '';
  // A name's own hash tag may come first.
  const pattern = `${escaped(before)}*{${escaped(prefix.replace(/[%{}]/g, encodeURIComponent))}*}`;
  const [which, where] = cursor.split(' ');
  let master = Number(which);
  let at = where ?? '0';
  const names = new Set<string>();
  for (let scans = 0; scans < MOST_SCANS && names.size < limit; scans++) {
    const call = masters[master];
    if (!call) break;
    const [next, found] = listOf(await call('SCAN', at, 'MATCH', pattern, 'COUNT', String(COUNT), 'TYPE', 'hash'));
    if (typeof next !== 'string' && typeof next !== 'number') throw strangeAnswer(next);
    for (const key of listOf(found)) {
      const name = nameOf(String(key).slice(before.length));
      if (name?.startsWith(prefix)) names.add(name);
    }
    at = String(next);
    if (at === '0') master++;
  }
  const states = await Promise.all([...names].map(async (key) => ({ key, ...(await inspect(key)) })));
  const keys = states.filter(({ holders, waiting }) => holders.length > 0 || waiting > 0);
  return masters[master] ? { keys, cursor: `${master} ${at}` } : { keys };
}

const escaped = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');
