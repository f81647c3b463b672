import type { Attempt, Busy, KeyState } from '../backend.js';
import type { Touched } from '../sql/crowd.js';

/** The words of an answer. */
export function wordsOf(answer: unknown): readonly string[] {
  if (typeof answer === 'string') return answer.split(' ');
  throw new TypeError(`PostgreSQL answered a lock function with ${typeof answer}; is a proxy in between?`);
}

/** What an attempt comes to: see `attempt_v1`. */
export function outcomeOf([kind, first = '0', at = '0', holder = '-', ahead = '-']: readonly string[]): Attempt {
  if (kind === 'g' || kind === 'n') return { granted: true, fencingToken: BigInt(first), at: toStamp(at) };
  if (kind === 'c') return { granted: false, limit: Number(first) };
  const busy: { -readonly [K in keyof Busy]: Busy[K] } = {
    granted: false,
    retryAfterMs: Number(first),
    at: toStamp(at),
  };
  if (holder !== '-') busy.holder = holder;
  if (ahead !== '-') busy.ahead = ahead;
  return busy;
}

/** What `touch_v1` says. */
export function touchedOf([look = '0', at, holder = '-', bits = '']: readonly string[]): Touched {
  return {
    at: toStamp(at),
    retryAfterMs: Number(look),
    holder: holder === '-' ? undefined : holder,
    far: Array.from(bits, (bit) => bit === '1'),
  };
}

/** The server stamps in microseconds, the port in milliseconds. */
export const toStamp = (microseconds: string | undefined): number => Number(microseconds) / 1000;

/** As `describe_v1` says it. */
export interface Described {
  readonly key: string;
  readonly shared: boolean;
  readonly limit: number;
  readonly holders: readonly {
    readonly owner: string;
    readonly token: string;
    readonly remainingUs: number;
    readonly heldUs: number;
  }[];
  readonly waiting: number;
  readonly waiters: readonly { readonly owner: string; readonly waitingUs: number }[];
}

export function stateOf(described: Described | null): KeyState {
  if (described === null) return { mode: 'exclusive', limit: 1, holders: [], waiting: 0 };
  return {
    mode: described.shared ? 'shared' : 'exclusive',
    limit: described.limit,
    holders: described.holders.map(({ owner, token, remainingUs, heldUs }) => ({
      owner,
      fencingToken: BigInt(token),
      remainingMs: remainingUs / 1000,
      heldMs: heldUs / 1000,
    })),
    waiting: described.waiting,
    waiters: described.waiters.map(({ owner, waitingUs }) => ({ owner, waitingMs: waitingUs / 1000 })),
  };
}
