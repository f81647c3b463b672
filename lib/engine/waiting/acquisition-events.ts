import type { LockBackend } from '../../backends/backend.js';
import type { Hold } from '../holding/hold.js';
import type { ResolvedOptions } from '../options/options.js';
import type { Emit } from '../telling/listeners.js';
import type { Clock } from '../time/clock.js';
import { errorOf, type Failure } from './failure.js';

export interface AcquisitionEventsTools {
  readonly clock: Clock;
  readonly backend: Pick<LockBackend, 'kind'>;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly emit: Emit;
}

/** What one call of `acquire` tells to those who listen, and to its caller. */
export class AcquisitionEvents {
  readonly startedAt: number;
  #contended = false;

  /** @param key the key, or all keys joined */
  constructor(
    private readonly key: string,
    private readonly options: ResolvedOptions,
    private readonly tools: AcquisitionEventsTools,
  ) {
    this.startedAt = tools.clock.now();
  }

  /** The server said "not yet", for the first time or again. */
  busy(owner: string, holder: string | undefined): void {
    if (this.#contended) return;
    this.#contended = true;
    if (this.options.wait > 0) this.tools.emit(() => ({ type: 'waiting', holder, ...this.#names(owner) }));
  }

  acquired({ owner, fencingToken }: Hold): void {
    this.tools.emit(() => ({
      type: 'acquired',
      ...this.#names(owner),
      mode: this.options.mode,
      waitedMs: this.tools.clock.now() - this.startedAt,
      fencingToken,
      contended: this.#contended,
    }));
  }

  /** @returns the error for the caller */
  failed(owner: string, failure: Failure): unknown {
    const { clock, emit, backend, backendName } = this.tools;
    const waitedMs = Math.round(clock.now() - this.startedAt);
    const { wait, limit } = this.options;
    const error = errorOf(failure, { key: this.key, backendName, kind: backend.kind, wait, limit, waitedMs });
    if ('busy' in failure) emit(() => ({ type: 'timeout', ...this.#names(owner), waitedMs, holder: failure.busy }));
    else emit(() => ({ type: 'failed', ...this.#names(owner), waitedMs, error }));
    return error;
  }

  #names(owner: string): { key: string; backend: string; owner: string } {
    return { key: this.key, backend: this.tools.backendName, owner };
  }
}
