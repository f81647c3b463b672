import type { LockAcquiredEvent } from '../../lock/events.js';
import type { LockMode } from '../../lock/lock-mode.js';
import { tokenText } from '../../lock/readable.js';

/** The one event with a token. `toJSON` writes the token as digits, because JSON numbers are not exact at that size. */
export class Acquired implements LockAcquiredEvent {
  readonly type = 'acquired';

  constructor(
    readonly key: string,
    readonly backend: string,
    readonly owner: string,
    readonly name: string | undefined,
    readonly method: string | undefined,
    readonly mode: LockMode,
    readonly waitedMs: number,
    readonly contended: boolean,
    readonly fencingToken: bigint | undefined,
  ) {}

  toJSON(): object {
    const told = Object.fromEntries(Object.entries(this));
    return { ...told, fencingToken: tokenText(this.fencingToken) };
  }
}
