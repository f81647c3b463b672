import type { Attributes, BatchObservableCallback, Histogram, Meter, Observable } from '@opentelemetry/api';
import type { LockEvent } from '../lock/events.js';
import type { InstrumentedBackend, LockObserver } from '../lock/instrumentation.js';
import { HOLD_SECONDS, type Series, Tally, WAIT_SECONDS } from '../metrics/tally.js';
import { up } from '../metrics/up.js';

/** The same numbers as `/prometheus` gives. Counts are read when they are exported; only durations are recorded as they come. */
export class LockMeters implements LockObserver {
  /** Without buckets: durations go to the meter's own histograms. */
  readonly #tally = new Tally({ waits: [], holds: [] });
  readonly #attributes = new WeakMap<Series, Attributes>();
  readonly #backends = new Set<InstrumentedBackend>();
  readonly #waits: Histogram;
  readonly #holds: Histogram;

  constructor(meter: Meter) {
    const histogram = (name: string, description: string, explicitBucketBoundaries: readonly number[]) =>
      meter.createHistogram(name, {
        description,
        unit: 's',
        advice: { explicitBucketBoundaries: [...explicitBucketBoundaries] },
      });
    this.#waits = histogram(
      'lock.wait.duration',
      'How long calls waited that got the lock or timed out.',
      WAIT_SECONDS,
    );
    this.#holds = histogram('lock.hold.duration', 'How long locks were held.', HOLD_SECONDS);
    const counter = (name: string, description: string) => meter.createObservableCounter(name, { description });
    const gauge = (name: string, description: string) => meter.createObservableUpDownCounter(name, { description });
    const read = {
      acquisitions: counter('lock.acquisitions', 'Calls for a lock by their outcome.'),
      losses: counter('lock.losses', 'Locks that were lost while they were held, by the reason.'),
      failures: counter('lock.failures', 'Calls for a lock that failed, by the reason.'),
      renewalFailures: counter('lock.renewal_failures', 'Renewals that the server did not confirm.'),
      unconfirmedReleases: counter('lock.unconfirmed_releases', 'Releases that the server did not confirm.'),
      held: gauge('lock.held', 'Locks that this process holds.'),
      waiting: gauge('lock.waiting', 'Calls of this process that stand in line for a lock.'),
    };
    meter.addBatchObservableCallback(this.#observe(read), Object.values(read));
    meter
      .createObservableGauge('lock.backend.up', { description: 'Whether a lock can be taken on the backend: 1 or 0.' })
      .addCallback(async (result) => {
        await Promise.all(
          [...this.#backends].map(async (backend) =>
            result.observe(await up(backend), { 'lock.backend': backend.backend }),
          ),
        );
      });
  }

  /** Has this backend asked at each export, until the returned function is called. */
  watch(backend: InstrumentedBackend): () => void {
    this.#backends.add(backend);
    return () => this.#backends.delete(backend);
  }

  onEvent(event: LockEvent): void {
    const series = this.#tally.add(event);
    if (event.type === 'acquired' || event.type === 'timeout') {
      this.#waits.record(event.waitedMs / 1_000, this.#attributesOf(series));
    } else if (event.type === 'released' || event.type === 'lost') {
      this.#holds.record(event.heldMs / 1_000, this.#attributesOf(series));
    }
  }

  #observe(read: Readonly<Record<ReadName, Observable>>): BatchObservableCallback {
    return (result) => {
      for (const series of this.#tally) {
        const attributes = this.#attributesOf(series);
        for (const [outcome, value] of series.outcomes) {
          result.observe(read.acquisitions, value, { ...attributes, 'lock.outcome': outcome });
        }
        for (const [reason, value] of series.losses) {
          result.observe(read.losses, value, { ...attributes, 'lock.reason': reason });
        }
        for (const [reason, value] of series.failures) {
          result.observe(read.failures, value, { ...attributes, 'lock.reason': reason });
        }
        result.observe(read.renewalFailures, series.renewalFailures, attributes);
        result.observe(read.unconfirmedReleases, series.unconfirmedReleases, attributes);
        result.observe(read.held, series.held, attributes);
        result.observe(read.waiting, series.waiting, attributes);
      }
    };
  }

  #attributesOf(series: Series): Attributes {
    let attributes = this.#attributes.get(series);
    if (!attributes) {
      attributes = { 'lock.name': series.name, 'lock.backend': series.backend };
      this.#attributes.set(series, attributes);
    }
    return attributes;
  }
}

type ReadName = 'acquisitions' | 'losses' | 'failures' | 'renewalFailures' | 'unconfirmedReleases' | 'held' | 'waiting';
