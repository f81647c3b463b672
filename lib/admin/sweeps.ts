import { setTimeout as sleep } from 'node:timers/promises';
import { LockConfigurationError } from '../lock/errors.js';
import type { LockInfo } from '../lock/lock.js';
import type { LockService } from '../nest/service/lock.service.js';

/** A lock as it was seen, on one of the backends. */
export interface Seen {
  readonly backend: string;
  readonly lock: LockInfo;
  /** When, in milliseconds of the clock. */
  readonly at: number;
}

/** The result of one look at all locks. */
export interface Sweep {
  readonly locks: readonly Seen[];
  /** When it ended, in milliseconds of the clock. */
  readonly at: number;
  /** `false` while the first look goes on. */
  readonly complete: boolean;
  /** Whether there are more locks than are looked at. */
  readonly more: boolean;
  /** The backends that did not answer, or that cannot list. Their locks are those of the look before. */
  readonly silent: readonly { readonly backend: string; readonly why: 'no answer' | 'no list' }[];
}

/** How many locks are looked at, over all backends. */
export const MOST_LOCKS = 10_000;
/** How many a backend is asked for at a time, so that neither it nor this process is busy for long. */
const PAGE = 200;
/**
 * The pause between two looks, in milliseconds: so many times as long as the look itself, which bounds what looking costs, but never so long
 * that the page shows the past. A look at 10,000 locks is half a second of work.
 */
const PAUSE_MS = 1_000;
const PAUSE_FACTOR = 25;
const LONGEST_PAUSE_MS = 15_000;
/** How often the first look shows what it has found so far, in milliseconds. */
const PART_MS = 200;

/** Looks at all locks again and again while somebody watches, once for all viewers. */
export class Sweeps {
  readonly #watchers = new Set<(sweep: Sweep) => void>();
  #latest: Sweep | undefined;
  #stopped: AbortController | undefined;
  #pause: AbortController | undefined;

  constructor(
    private readonly services: readonly LockService[],
    private readonly now: () => number,
    /** Told of a backend that does not answer: once, until it has answered again. */
    private readonly onSilent: (backend: string, error: unknown) => void,
  ) {}

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Calls the watcher with what is known, and with all that is found from now on; returns how to stop that. */
  watch(watcher: (sweep: Sweep) => void): () => void {
    this.#watchers.add(watcher);
    if (this.#latest) watcher(this.#latest);
    if (!this.#stopped) {
      this.#stopped = new AbortController();
      void this.#run(this.#stopped.signal);
    }
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#stopped?.abort();
      this.#stopped = undefined;
      // It is out of date by the time that somebody watches again.
      this.#latest = undefined;
    };
  }

  /** Something has changed: whoever watches shall see it now. */
  lookNow(): void {
    this.#pause?.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const began = this.now();
      // It handles every failure of a backend itself.
      await this.#sweep(signal);
      const pause = Math.max(PAUSE_MS, Math.min((this.now() - began) * PAUSE_FACTOR, LONGEST_PAUSE_MS));
      this.#pause = new AbortController();
      const ends = AbortSignal.any([signal, this.#pause.signal]);
      await sleep(pause, undefined, { signal: ends, ref: false }).catch(() => undefined);
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const before = this.#latest;
    const found: Seen[] = [];
    const silent: Sweep['silent'][number][] = [];
    let more = false;
    let shown = this.now();
    for (const service of this.services) {
      const { backend } = service;
      const from = found.length;
      try {
        for await (const locks of pages(service)) {
          if (signal.aborted) return;
          const at = this.now();
          for (const lock of locks) found.push({ backend, lock, at });
          more = found.length > MOST_LOCKS;
          if (more) break;
          if (before?.complete || at - shown < PART_MS) continue;
          shown = at;
          this.#publish({ locks: [...found], at, complete: false, more, silent });
        }
      } catch (error) {
        const why = error instanceof LockConfigurationError ? 'no list' : 'no answer';
        silent.push({ backend, why });
        if (!before?.silent.some((one) => one.backend === backend)) this.onSilent(backend, error);
        found.length = from;
        found.push(...(before?.locks.filter((seen) => seen.backend === backend) ?? []));
      }
      if (more) break;
    }
    if (signal.aborted) return;
    this.#publish({ locks: unique(found).slice(0, MOST_LOCKS), at: this.now(), complete: true, more, silent });
  }

  #publish(sweep: Sweep): void {
    this.#latest = sweep;
    for (const watcher of this.#watchers) watcher(sweep);
  }
}

async function* pages(service: LockService): AsyncGenerator<readonly LockInfo[]> {
  let cursor: string | undefined;
  do {
    const page = await service.list({ limit: PAGE, ...(cursor !== undefined && { cursor }) });
    yield page.locks;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** A lock that changed during the look may have come twice. */
function unique(found: readonly Seen[]): readonly Seen[] {
  return [...new Map(found.map((seen) => [`${seen.backend}\0${seen.lock.key}`, seen])).values()];
}
