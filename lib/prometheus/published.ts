import type { Metric, Registry, RegistryContentType } from 'prom-client';
import type { Distribution } from '../metrics/distribution.js';
import type { InstrumentedBackend } from '../lock/instrumentation.js';
import { type Bounds, type Series, Tally } from '../metrics/tally.js';
import { up } from '../metrics/up.js';

type AnyRegistry = Registry<RegistryContentType>;

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/**
 * A metric whose numbers are somebody else's, read at a scrape. A registry asks of a metric no more than this; counting in `prom-client`'s own
 * counters would cost several look-ups of labels for each lock.
 */
class ReadMetric {
  constructor(
    public name: string,
    private readonly help: string,
    private readonly type: 'counter' | 'gauge' | 'histogram',
    private readonly read: () => readonly Sample[] | Promise<readonly Sample[]>,
    /** Empties what it reads; a registry resets all of its metrics together. */
    readonly reset: () => void = () => undefined,
    /** How the processes of a Node cluster become one. */
    private readonly aggregator: 'sum' | 'min' = 'sum',
  ) {}

  async get(): Promise<object> {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: await this.read() };
  }
}

/** The metrics of one prefix in one registry: applications that share a registry are counted together. */
export class Published {
  readonly tally: Tally;
  readonly #backends = new Set<InstrumentedBackend>();
  readonly #metrics: readonly ReadMetric[];

  constructor(prefix: string, bounds: Bounds) {
    const tally = new Tally(bounds);
    this.tally = tally;
    const counter = (name: string, help: string, read: () => readonly Sample[]) =>
      new ReadMetric(`${prefix}${name}`, help, 'counter', read, () => forget(tally));
    const gauge = (name: string, help: string, read: (series: Series) => number) =>
      new ReadMetric(`${prefix}${name}`, help, 'gauge', () => numbers(tally, read));
    const histogram = (name: string, help: string, read: (series: Series) => Distribution) =>
      new ReadMetric(`${prefix}${name}`, help, 'histogram', () => distributions(tally, `${prefix}${name}`, read));
    this.#metrics = [
      counter(
        'acquisitions_total',
        'Calls for a lock by their outcome: acquired, skipped (busy, and the caller had said what then), timeout, failed.',
        () => counts(tally, 'outcome', (series) => series.outcomes),
      ),
      histogram('wait_seconds', 'How long calls waited that got the lock or timed out.', (series) => series.waits),
      histogram('hold_seconds', 'How long locks were held.', (series) => series.holds),
      gauge('held', 'Locks that this process holds.', (series) => series.held),
      gauge('waiting', 'Calls of this process that stand in line for a lock.', (series) => series.waiting),
      counter(
        'losses_total',
        'Locks that were lost while they were held: expired, taken, forced, max-hold, shutdown.',
        () => counts(tally, 'reason', (series) => series.losses),
      ),
      counter(
        'failures_total',
        'Calls for a lock that failed, by the reason: aborted, shutdown, conflict, backend.',
        () => counts(tally, 'reason', (series) => series.failures),
      ),
      counter('renewal_failures_total', 'Renewals of held locks that the server did not confirm.', () =>
        numbers(tally, (series) => series.renewalFailures),
      ),
      counter('unconfirmed_releases_total', 'Releases that the server did not confirm and that were tried again.', () =>
        numbers(tally, (series) => series.unconfirmedReleases),
      ),
      new ReadMetric(
        `${prefix}backend_up`,
        'Whether a lock can be taken on the backend, tried at the scrape: 1 or 0.',
        'gauge',
        () =>
          Promise.all(
            [...this.#backends].map(async (one) => ({ labels: { backend: one.backend }, value: await up(one) })),
          ),
        undefined,
        'min',
      ),
    ];
  }

  /** Has this backend asked at each scrape, until the returned function is called. */
  watch(backend: InstrumentedBackend): () => void {
    this.#backends.add(backend);
    return () => this.#backends.delete(backend);
  }

  /** Puts the metrics into the registry, unless they are there already. */
  register(registry: AnyRegistry): void {
    for (const metric of this.#metrics) {
      // A registry knows only the names and calls `get`; the union of its own classes cannot say so.
      const read = metric as unknown as Metric;
      if (registry.getSingleMetric(metric.name) !== read) registry.registerMetric(read);
    }
  }
}

const labelsOf = ({ name, backend }: Series) => ({ name, backend });

function numbers(tally: Tally, read: (series: Series) => number): Sample[] {
  return [...tally].map((series) => ({ labels: labelsOf(series), value: read(series) }));
}

function counts(tally: Tally, label: string, read: (series: Series) => ReadonlyMap<string, number>): Sample[] {
  return [...tally].flatMap((series) =>
    [...read(series)].map(([key, value]) => ({ labels: { ...labelsOf(series), [label]: key }, value })),
  );
}

/** Prometheus wants the number of values up to each bound, those of the bounds below included. */
function distributions(tally: Tally, name: string, read: (series: Series) => Distribution): Sample[] {
  return [...tally].flatMap((series) => {
    const { bounds, counts, sum, count } = read(series);
    if (count === 0) return [];
    const labels = labelsOf(series);
    let below = 0;
    const buckets = [...bounds.map(String), '+Inf'].map((le, at) => {
      below += counts[at] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
}

function forget(tally: Tally): void {
  for (const series of tally) series.reset();
}

const byRegistry = new WeakMap<AnyRegistry, Map<string, Published>>();

/** The metrics of that prefix in that registry. Their buckets are those that were asked for first. */
export function publishedIn(registry: AnyRegistry, prefix: string, bounds: Bounds): Published {
  const byPrefix = byRegistry.get(registry) ?? new Map<string, Published>();
  byRegistry.set(registry, byPrefix);
  const published = byPrefix.get(prefix) ?? new Published(prefix, bounds);
  byPrefix.set(prefix, published);
  // Again for each application: a test may have cleared the registry in between.
  published.register(registry);
  return published;
}
