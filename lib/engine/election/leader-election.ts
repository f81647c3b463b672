import { onAbort } from '../time/abort.js';
import { type Clock, SystemClock } from '../time/clock.js';
import type { Duration } from '../../lock/duration.js';
import type { LockEngine } from '../engine.js';
import { LockClosedError, LockKeyError } from '../../lock/errors.js';
import { type Leadership, type LeaderWork, Term, worksFor } from './leader-term.js';
import type { AcquireOptions } from '../../lock/lock.js';
import { orWarn } from '../telling/or-warn.js';

/** How a process takes part in an election. Durations are milliseconds or strings such as `'30s'`. */
export interface LeaderOptions {
  /**
   * The lease: how long nobody leads after a leader fell silent (killed, frozen, cut off). A leader that shuts down or resigns hands over
   * at once, whatever the lease.
   *
   * @default the module's `defaults.ttl`, or '15s'
   */
  readonly ttl?: Duration;
}

export interface ElectionListener {
  /** This process leads. */
  elected?(leadership: Leadership): void;
  /** It no longer leads. Called before the lease can end on the server. */
  ended?(leadership: Leadership, reason: unknown): void;
  /** The leader's work failed, or the candidacy did. It is tried again after a pause. */
  failed?(error: unknown): void;
  /** It is a candidate, but the server does not answer or refuses it. Called once, and again after the server has answered. */
  unanswered?(error: unknown): void;
}

export interface ElectionSetting {
  /** The election begins when this resolves. @default at once */
  readonly opened?: Promise<void>;
  readonly clock?: Clock;
}

/** Pause after a failure, in milliseconds, so that another process may try. It doubles each time. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** The first and every further check whether the server answers a candidate at all, in milliseconds. */
const FIRST_CHECK_MS = 3_000;
const CHECK_MS = 30_000;

interface Candidacy {
  readonly stop: AbortController;
  readonly over: Promise<void>;
}

/**
 * Leader election: the holder of the lock `leader:<name>` leads, and the other candidates stand in its line. It is a thin layer, so its
 * promises and limits are those of the lock.
 */
export class Election {
  /** The key of the lock. */
  readonly key: string;
  readonly #options: AcquireOptions;
  readonly #clock: Clock;
  readonly #opened: Promise<void>;
  readonly #works = new Set<LeaderWork>();
  readonly #listeners = new Set<ElectionListener>();
  #candidacy: Candidacy | undefined;
  #term: Term | undefined;
  #failures = 0;
  #isUnanswered = false;
  #closed = false;

  /** @throws LockConfigurationError when the options can never work with this backend */
  constructor(
    private readonly engine: LockEngine,
    readonly name: string,
    { ttl }: LeaderOptions = {},
    { opened = Promise.resolve(), clock = new SystemClock() }: ElectionSetting = {},
  ) {
    if (typeof name !== 'string' || name === '') {
      throw new LockKeyError('An election needs a name: what there is to lead, such as "reports".');
    }
    this.key = `leader:${name}`;
    // A leader has no end, whatever the defaults of other locks are.
    const office = {
      name: this.key,
      mode: 'exclusive',
      limit: 1,
      wait: Infinity,
      renew: true,
      maxHold: Infinity,
      minHold: 0,
      // A term has its own signal, which ends first.
      onShutdown: 'finish',
    } as const;
    this.#options = ttl === undefined ? office : { ...office, ttl };
    engine.validate(this.#options);
    this.#opened = opened;
    this.#clock = clock;
  }

  /** The current term, if this process leads. */
  get leadership(): Leadership | undefined {
    return this.#term?.held === true ? this.#term : undefined;
  }

  /** Becomes a candidate: in line, and again at its end after each term that was lost. Does nothing after `close`. */
  campaign(): void {
    if (this.#closed || this.#candidacy?.stop.signal.aborted === false) return;
    const before = this.#candidacy?.over;
    const stop = new AbortController();
    this.#candidacy = { stop, over: this.#stand(stop.signal, before) };
  }

  /**
   * Stops leading and being a candidate, until `campaign`. Resolves when the leader's work has settled and the next leader may begin. It
   * resolves at once for the work itself, because the work cannot wait for its own end.
   */
  resign(): Promise<void> {
    return this.#end(new DOMException(`This process resigned from leading "${this.name}".`, 'AbortError'));
  }

  /** Resigns for good. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#end(
      new LockClosedError(`This process leads "${this.name}" no more: the application is shutting down.`, {
        key: this.key,
        backend: this.engine.name,
      }),
    );
  }

  /** Runs the work in every term, the current one included. Returns how to leave it out of later terms. */
  lead(work: LeaderWork): () => void {
    this.#works.add(work);
    if (this.#term?.held === true) this.#term.start(work);
    return () => this.#works.delete(work);
  }

  listen(listener: ElectionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #end(reason: unknown): Promise<void> {
    const candidacy = this.#candidacy;
    candidacy?.stop.abort(reason);
    return candidacy === undefined || worksFor(this) ? Promise.resolve() : candidacy.over;
  }

  async #stand(stop: AbortSignal, before: Promise<void> | undefined): Promise<void> {
    await before;
    if (!stop.aborted) await Promise.race([this.#opened, new Promise<void>((resolve) => onAbort(stop, resolve))]);
    while (!stop.aborted) {
      const startedAt = this.#clock.now();
      try {
        const failed = await this.#serve(stop);
        if (!failed || this.#clock.now() - startedAt > LONGEST_PAUSE_MS) this.#failures = 0;
        if (!failed) continue;
      } catch (error) {
        if (stop.aborted || error instanceof LockClosedError) return;
        this.#tell((listener) => listener.failed?.(error));
      }
      await this.#pause(Math.min(FIRST_PAUSE_MS * 2 ** this.#failures++, LONGEST_PAUSE_MS), stop);
    }
  }

  /** One term, from standing in line to handing over. Resolves to whether it ended because the work failed. */
  async #serve(stop: AbortSignal): Promise<boolean> {
    const stopChecking = this.#checkWhileStanding();
    const lock = await this.engine.acquire(this.key, { ...this.#options, signal: stop }).finally(stopChecking);
    this.#isUnanswered = false;
    if (stop.aborted) {
      await lock.release();
      return false;
    }
    let failed = false;
    let forget: (() => void) | undefined;
    const term = await new Promise<Term>((over) => {
      const listener = {
        ended: (reason: unknown) => {
          this.#term = undefined;
          this.#tell((each) => each.ended?.(elected, reason));
          over(elected);
        },
        failed: (error: unknown) => {
          failed = true;
          this.#tell((each) => each.failed?.(error));
          elected.end(error);
        },
      };
      const elected: Term = new Term(this.name, lock, listener, this);
      this.#term = elected;
      forget = onAbort(stop, () => elected.end(stop.reason));
      this.#tell((listener) => listener.elected?.(elected));
      for (const work of this.#works) elected.start(work);
      // The lock was lost before anybody listened.
      if (lock.signal.aborted) elected.end(lock.signal.reason);
    });
    forget?.();
    await term.handOver();
    return failed;
  }

  /** A candidate waits without an end, so it would never hear that the server is down or refuses it. Returns how to stop. */
  #checkWhileStanding(): () => void {
    let over = false;
    let cancel: () => void = () => undefined;
    const look = async (): Promise<void> => {
      try {
        await this.engine.inspect(this.key);
        this.#isUnanswered = false;
      } catch (error) {
        if (!over && !this.#isUnanswered) this.#tell((listener) => listener.unanswered?.(error));
        this.#isUnanswered = true;
      }
      if (!over) lookIn(CHECK_MS);
    };
    const lookIn = (ms: number): void => void (cancel = this.#clock.after(ms, () => void look(), true));
    lookIn(FIRST_CHECK_MS);
    return () => {
      over = true;
      cancel();
    };
  }

  #tell(what: (listener: ElectionListener) => void): void {
    for (const listener of [...this.#listeners]) orWarn('ElectionListener', () => what(listener));
  }

  #pause(milliseconds: number, stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        forget();
        resolve();
      };
      const cancel = this.#clock.after(milliseconds, end);
      const forget = onAbort(stop, end);
      if (stop.aborted) end();
    });
  }
}
