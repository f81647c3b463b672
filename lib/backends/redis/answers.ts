import type { Attempt, Busy, Conflict, Grant, Holder, KeyState } from '../backend.js';

/** A grant to another waiter of the asker's instance, which travels in the answer. */
export interface Mine {
  readonly owner: string;
  readonly fencingToken: bigint;
}

/** What an answer says beside its outcome. */
export interface Attempted {
  readonly outcome: Attempt;
  readonly mine: readonly Mine[];
  /** The server does not know the inbox of the one who joined the line: nothing would be pushed there. */
  readonly deaf?: boolean;
  /** Milliseconds since the grant was made, where it was found made already. */
  readonly madeMs?: number;
}

export interface Released {
  readonly held: boolean;
  readonly mine: readonly Mine[];
  readonly at: number;
  /** The line was not gone through to its end: asking again serves it further. */
  readonly more: boolean;
}

/** An answer that no script of ours gives, as `QUEUED` inside a transaction: it tells nothing, not even that the script ran. */
export function strangeAnswer(answer: unknown): TypeError {
  const what =
    answer === 'QUEUED'
      ? '`QUEUED`: the client that it was given is in the middle of a transaction. Give it one of its own'
      : `${Array.isArray(answer) ? 'an unexpected list' : typeof answer}; is a proxy in between?`;
  return new TypeError(`Redis answered a lock script with ${what}`);
}

/** See ATTEMPT. */
export function attemptedOf(answer: unknown): Attempted {
  if (!Array.isArray(answer)) return { outcome: { granted: true, fencingToken: toToken(answer) }, mine: [] };
  const status = whole(answer, 0);
  if (status === -1) return { outcome: { granted: false, limit: whole(answer, 1) }, mine: [] };
  if (status === -2) throw restarted(answer);
  if (status === 1) {
    const [fencingToken, at] = [toToken(answer[1]), toStamp(answer[2])];
    // Tokens start from the clock that made the grant.
    const madeMs = Math.max(0, at - Number(fencingToken) / 1000);
    return { outcome: { granted: true, fencingToken, at }, mine: mineOf(answer, 3), madeMs };
  }
  if (status !== 0 && status !== 2) throw strangeAnswer(answer);
  return { outcome: busyOf(answer), mine: mineOf(answer, 5), deaf: status === 2 };
}

/** See ATTEMPT_ALL. */
export function allOf(answer: unknown, count: number): readonly Grant[] | Busy | Conflict {
  const list = listOf(answer);
  const status = whole(list, 0);
  if (status === -1) return { granted: false, limit: whole(list, 1) };
  if (status === -2) throw restarted(list);
  if (status === 0) return busyOf(list);
  if (status !== 1 || list.length !== count + 2) throw strangeAnswer(answer);
  const at = toStamp(list[1]);
  return list.slice(2).map((token) => ({ granted: true, fencingToken: toToken(token), at }));
}

/** See RELEASE. */
export function releasedOf(answer: unknown): Released {
  if (!Array.isArray(answer)) {
    if (String(answer) !== '1') throw strangeAnswer(answer);
    return { held: true, mine: [], at: 0, more: false };
  }
  const held = whole(answer, 0);
  if (held < 0 || held > 3) throw strangeAnswer(answer);
  return { held: held % 2 === 1, mine: mineOf(answer, 2), at: toStamp(answer[1]), more: held > 1 };
}

/** What INSPECT says of a key. */
export function stateOf(answer: unknown): KeyState {
  const list = listOf(answer);
  const [limit, waiting, shared] = [whole(list, 0), whole(list, 1), whole(list, 2)];
  const now = toStamp(list[3]);
  const [held, waiters] = [listOf(list[4]), listOf(list[5])];
  const holders: Holder[] = [];
  for (let i = 0; i < held.length; i += 3) {
    const fencingToken = toToken(held[i + 1]);
    holders.push({
      owner: text(held, i).replace(/~$/, ''),
      fencingToken,
      remainingMs: whole(held, i + 2),
      // Tokens start from the server's clock at the grant.
      heldMs: Math.max(0, Math.round(now - Number(fencingToken) / 1000)),
    });
  }
  return {
    mode: shared === 1 && limit === 1 ? 'shared' : 'exclusive',
    limit,
    holders,
    waiting,
    waiters: waiters.map((_, index) => ({ owner: text(waiters, index) })),
  };
}

/** A list of answers, or of an answer's parts. */
export function listOf(answer: unknown): readonly unknown[] {
  if (Array.isArray(answer)) return answer;
  throw strangeAnswer(answer);
}

/** The scripts stamp in microseconds, the port in milliseconds. */
export const toStamp = (microseconds: unknown): number => Number(toToken(microseconds)) / 1000;

/** A client may be told to give numbers as text. */
export function toToken(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === 'string' && /^\d{1,19}$/.test(value)) return BigInt(value);
  throw strangeAnswer(value);
}

/** See REFUSE_AFTER_RESTART. */
function restarted(answer: readonly unknown[]): Error {
  const seconds = Math.ceil(whole(answer, 1) / 1_000);
  return new Error(
    `the server started without stored data and may have forgotten votes, so it takes no part for ${seconds} s more (\`restartGuard\`). ` +
      'With `appendonly yes` it would take part at once',
  );
}

function busyOf(list: readonly unknown[]): Busy {
  const busy: { -readonly [K in keyof Busy]: Busy[K] } = {
    granted: false,
    retryAfterMs: whole(list, 1),
    at: toStamp(list[2]),
  };
  const [, , , holder, ahead] = list;
  if (typeof holder === 'string' && holder) busy.holder = holder;
  if (typeof ahead === 'string' && ahead) busy.ahead = ahead;
  return busy;
}

/** Owner, token, owner, token… */
function mineOf(list: readonly unknown[], from: number): readonly Mine[] {
  if (list.length <= from) return NOBODY;
  const mine: Mine[] = [];
  for (let i = from; i < list.length; i += 2) mine.push({ owner: text(list, i), fencingToken: toToken(list[i + 1]) });
  return mine;
}

function whole(list: readonly unknown[], at: number): number {
  const number = Number(list[at]);
  if (list[at] === null || list[at] === '' || !Number.isSafeInteger(number)) throw strangeAnswer(list);
  return number;
}

function text(list: readonly unknown[], at: number): string {
  const value = list[at];
  if (typeof value !== 'string') throw strangeAnswer(list);
  return value;
}

const NOBODY: readonly Mine[] = [];
