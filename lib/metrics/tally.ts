import type { LockEvent, LockEventOf, LockFailureReason, LockLossReason } from '../lock/events.js';
import { Distribution } from './distribution.js';

/** How a call for a lock can end. */
export const OUTCOMES = ['acquired', 'skipped', 'timeout', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Upper bounds in seconds: a lock that is free takes about a millisecond, and the default `wait` is 10 s. */
export const WAIT_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30] as const;
/** Work under a lock may be a row's update or a night's report. */
export const HOLD_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800] as const;

/** What locks without a name are counted under. */
export const UNNAMED = 'unnamed';
/** More names than this are counted together: somebody names locks by their keys, and every name costs the monitoring memory for ever. */
export const MOST_NAMES = 200;
export const OTHER = 'other';

/** The numbers of one name on one backend. */
export class Series {
  readonly outcomes = new Map<Outcome, number>();
  readonly failures = new Map<LockFailureReason, number>();
  readonly losses = new Map<LockLossReason, number>();
  readonly waits: Distribution;
  readonly holds: Distribution;
  renewalFailures = 0;
  unconfirmedReleases = 0;
  held = 0;
  waiting = 0;

  constructor(
    readonly name: string,
    readonly backend: string,
    { waits, holds }: Bounds,
  ) {
    this.waits = new Distribution(waits);
    this.holds = new Distribution(holds);
  }

  /** Counts from zero again. What is held and who waits stays. */
  reset(): void {
    for (const counts of [this.outcomes, this.failures, this.losses]) counts.clear();
    this.waits.reset();
    this.holds.reset();
    this.renewalFailures = 0;
    this.unconfirmedReleases = 0;
  }
}

export interface Bounds {
  readonly waits: readonly number[];
  readonly holds: readonly number[];
}

/** Counts events by name and backend. One call costs a look-up and a few additions: nothing is formatted before somebody asks. */
export class Tally {
  readonly #series = new Map<string, Map<string, Series>>();
  readonly #names = new Set<string>();

  constructor(private readonly bounds: Bounds) {}

  *[Symbol.iterator](): IterableIterator<Series> {
    for (const series of this.#series.values()) yield* series.values();
  }

  /** The numbers that this event belongs to. */
  seriesOf({ backend, name = UNNAMED }: Pick<LockEvent, 'backend' | 'name'>): Series {
    let byName = this.#series.get(backend);
    if (!byName) this.#series.set(backend, (byName = new Map()));
    return byName.get(name) ?? this.#newSeries(byName, backend, name);
  }

  add(event: LockEvent): Series {
    const series = this.seriesOf(event);
    switch (event.type) {
      case 'waiting':
        series.waiting += 1;
        break;
      case 'acquired':
      case 'timeout':
        series.waits.add(event.waitedMs / 1_000);
        ended(series, event);
        break;
      case 'skipped':
        ended(series, event);
        break;
      case 'failed':
        ended(series, event);
        count(series.failures, event.reasonCode);
        break;
      case 'released':
        series.held -= 1;
        series.holds.add(event.heldMs / 1_000);
        break;
      case 'lost':
        series.held -= 1;
        series.holds.add(event.heldMs / 1_000);
        count(series.losses, event.reasonCode);
        break;
      case 'renewal-failed':
        series.renewalFailures += 1;
        break;
      case 'release-unknown':
        series.unconfirmedReleases += 1;
        break;
    }
    return series;
  }

  #newSeries(byName: Map<string, Series>, backend: string, wanted: string): Series {
    const name = this.#names.has(wanted) || this.#names.size < MOST_NAMES ? wanted : OTHER;
    if (name === wanted) this.#names.add(name);
    const series = byName.get(name) ?? new Series(name, backend, this.bounds);
    byName.set(name, series);
    return series;
  }
}

function ended(series: Series, { type, contended }: LockEventOf<Outcome>): void {
  count(series.outcomes, type);
  if (contended) series.waiting -= 1;
  if (type === 'acquired') series.held += 1;
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
