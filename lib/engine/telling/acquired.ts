import type { LockAcquiredEvent } from '../../lock/events.js';
import type { LockMode } from '../../lock/lock-mode.js';
import { tokenText } from '../../lock/readable.js';

/** The one event with a token: it passes through `JSON.stringify`, which has no numbers of that size. */
export class Acquired implements LockAcquiredEvent {
  readonly type = 'acquired';
  readonly key: string;
  readonly backend: string;
  readonly owner: string;
  readonly name: string | undefined;
  readonly method: string | undefined;
  readonly mode: LockMode;
  readonly waitedMs: number;
  readonly contended: boolean;
  readonly fencingToken: bigint | undefined;

  constructor(told: Omit<LockAcquiredEvent, 'type'>) {
    this.key = told.key;
    this.backend = told.backend;
    this.owner = told.owner;
    this.name = told.name;
    this.method = told.method;
    this.mode = told.mode;
    this.waitedMs = told.waitedMs;
    this.contended = told.contended;
    this.fencingToken = told.fencingToken;
  }

  toJSON(): object {
    const told = Object.fromEntries(Object.entries(this));
    return { ...told, fencingToken: tokenText(this.fencingToken) };
  }
}
