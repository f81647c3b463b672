import type { LockBackend } from '../backends/backend.js';
import type { Clock } from './time/clock.js';
import type { TimerQueue } from './time/timer-queue.js';
import type { Duration } from '../lock/duration.js';
import type { LockEvent } from '../lock/events.js';
import type { Family } from './leases/family.js';
import type { Acquisition } from './waiting/acquisition.js';
import type { Hold } from './holding/hold.js';
import type { Watchdog } from './leases/watchdog.js';
import type { LocalHandOver } from './leases/local-hand-over.js';
import type { Wait } from './waiting/wait.js';
import type { ReleaseRetries } from './asking/release-retries.js';

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
  readonly watchdog: Watchdog;
  readonly undo: ReleaseRetries;
  readonly handOver: LocalHandOver;
  /** When those who wait look for themselves. */
  readonly looks: TimerQueue<Wait>;
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
