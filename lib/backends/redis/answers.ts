import type { Attempt, Busy, Holder, KeyState } from '../backend.js';

/** What an attempt comes to whose answer is a list: see ATTEMPT and ATTEMPT_ALL. */
export function outcomeOf(answer: readonly unknown[]): Attempt {
  const [status, first, at, holder, ahead] = answer;
  if (Number(status) === 1) return { granted: true, fencingToken: toToken(first), at: toStamp(at) };
  if (Number(status) === -1) return { granted: false, limit: Number(first) };
  const busy: { -readonly [K in keyof Busy]: Busy[K] } = {
    granted: false,
    retryAfterMs: Number(first),
    at: toStamp(at),
  };
  if (typeof holder === 'string' && holder) busy.holder = holder;
  if (typeof ahead === 'string' && ahead) busy.ahead = ahead;
  return busy;
}

/** What INSPECT says of a key. */
export function stateOf(answer: readonly unknown[]): KeyState {
  const [limit, waiting, shared, ...rest] = answer;
  const holders: Holder[] = [];
  for (let i = 0; i + 2 < rest.length; i += 3) {
    holders.push({
      owner: String(rest[i]).replace(/~$/, ''),
      fencingToken: toToken(rest[i + 1]),
      remainingMs: Number(rest[i + 2]),
    });
  }
  const mode = Number(shared) === 1 && Number(limit) === 1 ? 'shared' : 'exclusive';
  return { mode, limit: Number(limit), holders, waiting: Number(waiting) };
}

/** The scripts stamp in microseconds, the port in milliseconds. */
export const toStamp = (microseconds: unknown): number => Number(microseconds) / 1000;
export const toToken = (value: unknown): bigint => BigInt(typeof value === 'number' ? value : String(value));
