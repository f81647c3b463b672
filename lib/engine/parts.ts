import type { LockBackend } from '../backends/backend.js';
import type { Clock } from './clock.js';
import type { DueList } from './due.js';
import type { Duration } from './duration.js';
import type { LockEvent } from './events.js';
import type { Family } from './family.js';
import type { Acquisition } from './acquisition.js';
import type { Hold } from './hold.js';
import type { Keeper } from './keeper.js';
import type { LocalHandOver } from './local-hand-over.js';
import type { Turn } from './turn.js';
import type { Undo } from './undo.js';

/** The parts of an engine, as its acquisitions and holds share them. */
export interface EngineParts {
  readonly clock: Clock;
  readonly random: () => number;
  /** The longest a single call to the server is waited for, in milliseconds. */
  readonly callTimeout: number;
  readonly backend: LockBackend;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly family: Family;
  readonly keeper: Keeper;
  readonly undo: Undo;
  readonly handOver: LocalHandOver;
  /** When those who wait look for themselves. */
  readonly looks: DueList<Turn>;
  readonly prefix: string;
  /** An owner for a new claim. */
  nextOwner(): string;
  /** Tells whoever listens; the event is only made when somebody does. */
  emit(make: () => LockEvent): void;
  /** Checks a ttl given by the user, in milliseconds. */
  ttlOf(ttl: Duration): number;
  /** An acquisition is over, however it ended. */
  onOver(acquisition: Acquisition): void;
  /** A hold has begun: closing waits for it. */
  onAcquired(hold: Hold): void;
  /** The hold is over and nothing of it is left to do. */
  onReleased(hold: Hold): void;
}
