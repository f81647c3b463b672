import { AsyncLocalStorage } from 'node:async_hooks';
import { lookFirst, onAbort } from '../time/abort.js';
import { LockLostError } from '../../lock/errors.js';
import type { Lock } from '../../lock/lock.js';

/**
 * One term of a leader: from the election to losing the lock, resigning or shutting down.
 *
 * It is a class for the sake of `emitDecoratorMetadata`, which reads the type of a decorated method's parameter at run time.
 */
export abstract class Leadership {
  /** The name of the election. */
  abstract readonly name: string;
  /** Grows with each leader. Pass it to the store that the leader writes to, so that the store can refuse a smaller one. */
  abstract readonly fencingToken: bigint | undefined;
  /**
   * Aborts when the term ends: with `LockLostError` before the lease can end on the server, with `LockClosedError` at shutdown, with an
   * `AbortError` on resignation. Pass it to whatever the leader's work awaits.
   */
  abstract readonly signal: AbortSignal;
  /** Whether this process certainly leads now. Reads the clock, so it is right even when no timer could run. */
  abstract readonly held: boolean;
  /** @throws the reason of `signal` when the term is over */
  abstract assertHeld(): void;
}

/** The leader's work. The next leader is not elected before it has settled, unless the lock was lost. */
export type LeaderWork = (leadership: Leadership) => unknown;

export interface TermListener {
  /** Called once, when the term ends and before the work hears of it. */
  ended(reason: unknown): void;
  /** The work failed by itself, and not because the term was over. */
  failed(error: unknown): void;
}

/** The offices that the running code works for: several where a leader leads something else in its work. */
const offices = new AsyncLocalStorage<ReadonlySet<object>>();

/** Whether the running code is, or was called by, the work of a leader of this office. Such code cannot wait for the end of that work. */
export function worksFor(office: object): boolean {
  return offices.getStore()?.has(office) === true;
}

/** A lock and the work under it. */
export class Term extends Leadership {
  readonly #controller = new AbortController();
  readonly #works = new Set<Promise<void>>();
  readonly #started = new Set<LeaderWork>();
  #over = false;

  constructor(
    readonly name: string,
    private readonly lock: Lock,
    private readonly listener: TermListener,
    private readonly office: object,
  ) {
    super();
    lookFirst(this.#controller.signal, () => void this.held);
    onAbort(lock.signal, () => this.end(lock.signal.reason));
  }

  get fencingToken(): bigint | undefined {
    return this.lock.fencingToken;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get held(): boolean {
    return this.lock.held && !this.#over;
  }

  assertHeld(): void {
    if (!this.#over) this.lock.assertHeld();
    this.signal.throwIfAborted();
  }

  /** Starts a piece of the leader's work, once in a term, unless the term is over. */
  start(work: LeaderWork): void {
    if (!this.held || this.#started.has(work)) return;
    // First, because the work itself or a listener of the election may hand it in again.
    this.#started.add(work);
    const serving = new Set([...(offices.getStore() ?? []), this.office]);
    const running = offices
      .run(serving, async () => work(this))
      .then(
        () => undefined,
        (error: unknown) => {
          if (!this.#isTheEnd(error)) this.listener.failed(error);
        },
      );
    this.#works.add(running);
    void running.then(() => this.#works.delete(running));
  }

  end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.ended(reason);
    this.#controller.abort(reason);
  }

  /** Hands over to the next leader after the work has settled, so that two leaders never work side by side. */
  async handOver(): Promise<void> {
    while (this.#works.size > 0) await Promise.all(this.#works);
    await this.lock.release();
  }

  /** Work that stops on `signal` rejects with the signal's reason, or with an `AbortError` of whatever it awaited. */
  #isTheEnd(error: unknown): boolean {
    if (!this.#over) return false;
    return (
      error === this.signal.reason ||
      error instanceof LockLostError ||
      (error instanceof Error && error.name === 'AbortError')
    );
  }
}
