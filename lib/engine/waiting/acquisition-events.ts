import type { LockBackend } from '../../backends/backend.js';
import { LockClosedError } from '../../lock/errors.js';
import type { LockFailureReason } from '../../lock/events.js';
import type { LockObserver } from '../../lock/instrumentation.js';
import type { Labels } from '../../lock/labels.js';
import { measured } from '../../lock/milliseconds.js';
import type { Endings } from '../holding/endings.js';
import type { Hold } from '../holding/hold.js';
import { Acquired } from '../telling/acquired.js';
import { joined } from '../options/keys.js';
import type { ResolvedOptions } from '../options/options.js';
import type { Emit } from '../telling/listeners.js';
import type { Observe } from '../telling/observing.js';
import type { Clock } from '../time/clock.js';
import { errorOf, type Failure } from './failure.js';

export interface AcquisitionEventsTools {
  readonly clock: Clock;
  readonly backend: Pick<LockBackend, 'kind'>;
  /** The backend's name in the module. */
  readonly backendName: string;
  readonly emit: Emit;
  readonly endings: Pick<Endings, 'next'>;
  readonly observe: Observe;
}

/** Reports one call of `acquire` to listeners and to its caller. */
export class AcquisitionEvents {
  readonly startedAt: number;
  /** Observes this call. */
  readonly observer: LockObserver | undefined;
  #wasBusy = false;

  constructor(
    private readonly keys: readonly string[],
    private readonly options: ResolvedOptions,
    private readonly tools: AcquisitionEventsTools,
  ) {
    this.startedAt = tools.clock.now();
    if (!tools.observe) return;
    const { backend, backendName } = tools;
    const { mode, name, method } = options;
    this.observer = tools.observe({ keys, backend: backendName, kind: backend.kind, mode, name, method });
  }

  /** The server answered "not yet", for the first time or again. */
  busy(owner: string, holder: string | undefined): void {
    if (this.#wasBusy) return;
    this.#wasBusy = true;
    if (!this.#contended) return;
    this.tools.emit('waiting', () => ({ type: 'waiting', ...this.#names(owner), holder }), this.observer);
  }

  acquired(hold: Hold): void {
    this.tools.endings.next(hold);
    this.tools.emit('acquired', () => this.#acquired(hold), this.observer);
  }

  /** Builds the event field by field. Every lock has one, and copying fields from another object would cost more than everything else. */
  #acquired({ owner, fencingToken }: Hold): Acquired {
    const { mode, name, method } = this.options;
    const { backendName } = this.tools;
    const key = joined(this.keys);
    return new Acquired(key, backendName, owner, name, method, mode, this.#waitedMs(), this.#contended, fencingToken);
  }

  /** @returns the error for the caller */
  failed(owner: string, failure: Failure): unknown {
    const { emit, backend, backendName } = this.tools;
    const { wait, limit, onBusy } = this.options;
    const waitedMs = this.#waitedMs();
    const told = { backendName, kind: backend.kind, wait, limit, waitedMs: Math.round(waitedMs) };
    const error = errorOf(failure, { key: joined(this.keys), ...told });
    const ending = () => ({ ...this.#names(owner), waitedMs, contended: this.#contended });
    if ('busy' in failure && onBusy !== 'shutdown') {
      emit(onBusy, () => ({ type: onBusy, ...ending(), holder: failure.busy }), this.observer);
    } else {
      emit('failed', () => ({ type: 'failed', ...ending(), reasonCode: reasonOf(failure), error }), this.observer);
    }
    return error;
  }

  /** Whether the call stood in line. A call that asks only once never does. */
  get #contended(): boolean {
    return this.#wasBusy && this.options.wait > 0;
  }

  #waitedMs(): number {
    return measured(this.tools.clock.now() - this.startedAt);
  }

  #names(owner: string): { readonly key: string; readonly backend: string; readonly owner: string } & Labels {
    const { name, method } = this.options;
    return { key: joined(this.keys), backend: this.tools.backendName, owner, name, method };
  }
}

function reasonOf(failure: Failure): LockFailureReason {
  if ('busy' in failure) return 'shutdown';
  if ('conflict' in failure) return 'conflict';
  if ('unknown' in failure) return 'backend';
  return failure.cancelled instanceof LockClosedError ? 'shutdown' : 'aborted';
}
