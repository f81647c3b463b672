import type { Attempt, Busy } from '../backend.js';
import type { Touched } from '../sql/crowd.js';

/** What ATTEMPT and ATTEMPT_ALL answer when nothing, or one key, was granted, and where in line the asker stands. */
export function outcomeOf(answer: string): { readonly outcome: Attempt; readonly rank: number } {
  const [status, first = '0', at, rank, holder, ahead] = answer.split(' ');
  if (status === '1')
    return {
      outcome: { granted: true, fencingToken: BigInt(first), ...(at !== undefined && { at: Number(at) / 1000 }) },
      rank: -1,
    };
  if (status === '-1') return { outcome: { granted: false, limit: Number(first) }, rank: -1 };
  const busy: { -readonly [K in keyof Busy]: Busy[K] } = {
    granted: false,
    retryAfterMs: Math.max(1, Number(first) / 1000 + 1),
    at: Number(at) / 1000,
  };
  if (holder) busy.holder = holder;
  if (ahead) busy.ahead = ahead;
  return { outcome: busy, rank: Number(rank ?? -1) };
}

/** What TOUCH answers. */
export function touchedOf(answer: string): Touched {
  const [look, at, bits = '', holder] = answer.split(' ');
  return {
    at: Number(at) / 1000,
    retryAfterMs: Math.max(1, Number(look) / 1000 + 1),
    holder: holder === '' ? undefined : holder,
    far: Array.from(bits, (bit) => bit === '1'),
  };
}
