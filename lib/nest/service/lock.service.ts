import { Injectable } from '@nestjs/common';
import { Observable } from 'rxjs';
import { LockEngine, type WithLockOptions } from '../../engine/engine.js';
import type { Duration } from '../../lock/duration.js';
import type { LockEvent } from '../../lock/events.js';
import type { ListOptions, LockPage } from '../../lock/listing.js';
import type { LeaderOptions } from '../../engine/election/leader-election.js';
import type { AcquireOptions, Lock, LockInfo } from '../../lock/lock.js';
import type { LeaderElection } from './leader-election.js';
import type { Elections } from './elections.js';

/**
 * Locks by hand, on one backend. Inject it by class for the default backend and with `@InjectLockService(name)` for another.
 *
 * A key is a string, or several strings to hold all of them together.
 */
@Injectable()
export class LockService {
  /**
   * The events of this process's locks on this backend, for metrics and logs. The stream neither replays nor completes; unsubscribe when
   * you are done.
   */
  readonly events$: Observable<LockEvent>;

  constructor(
    private readonly engine: LockEngine,
    private readonly elections: Elections,
    private readonly overrides?: AcquireOptions,
  ) {
    this.events$ = new Observable((subscriber) => engine.listen((event) => subscriber.next(event)));
  }

  /** The backend's name in the module. */
  get backend(): string {
    return this.engine.name;
  }

  /**
   * Checks options before their first use. The report at boot does so for every `@Locked`.
   *
   * @throws LockConfigurationError when this backend can never keep the options
   */
  validate(options: AcquireOptions): void {
    this.engine.validate(options);
  }

  /**
   * Waits for the key and holds it until `release()`. Prefer `withLock`, which cannot forget to release.
   *
   * ```ts
   * await using lock = await this.locks.acquire(`order:${id}`, { wait: '2s' });
   * ```
   *
   * @throws LockTimeoutError when the key stayed busy for the whole `wait` (10 s unless told otherwise)
   * @throws LockBackendError when the lock server does not answer
   * @throws LockClosedError when the application is shutting down
   * @throws LockConfigurationError when the options ask for what the backend cannot do
   */
  acquire(key: string | readonly string[], options?: AcquireOptions): Promise<Lock> {
    return this.engine.acquire(key, this.#overridden(options));
  }

  /**
   * Asks once and never waits.
   *
   * @returns the lock, or `null` when the key is busy
   * @throws LockBackendError when the lock server does not answer, which is not the same as busy
   */
  tryAcquire(key: string | readonly string[], options?: Omit<AcquireOptions, 'wait'>): Promise<Lock | null> {
    return this.engine.tryAcquire(key, this.#overridden(options));
  }

  /**
   * Runs the work while the key is held, and releases it however the work ends. Called again for the same key inside the work, it
   * re-enters the same lock; see `reentrant`.
   *
   * @returns what the work returned
   * @throws the work's own error if it failed
   * @throws LockLostError when the work succeeded but the lock was lost meanwhile: somebody else may have been at work
   * @throws LockTimeoutError, LockBackendError, LockClosedError, LockConfigurationError as `acquire`; the work then did not run
   */
  withLock<T>(
    key: string | readonly string[],
    work: (lock: Lock) => PromiseLike<T> | T,
    options?: WithLockOptions,
  ): Promise<T> {
    return this.engine.withLock(key, work, this.#overridden(options));
  }

  /**
   * Takes part in the election of the leader `name` among all processes, from the end of the start to the beginning of the shutdown. Called
   * again with the same name, it returns the same election.
   *
   * ```ts
   * readonly outbox = this.locks.leader('outbox');
   * ```
   *
   * @throws LockConfigurationError when an election of that name has another `ttl`
   */
  leader(name: string, options?: LeaderOptions): LeaderElection {
    return this.elections.get(name, options);
  }

  /**
   * Resolves to the server's state of a key, for admin pages and debugging. Never use it to decide whether to work.
   *
   * @throws LockBackendError when the lock server does not answer
   */
  inspect(key: string): Promise<LockInfo> {
    return this.engine.inspect(key);
  }

  /**
   * The locks that are held or waited for, of all processes, a page at a time: who holds them, who waits, and since when, where the
   * server knows. The server does not stand still for it.
   *
   * ```ts
   * const { locks, cursor } = await this.locks.list({ match: 'order:*', limit: 50 });
   * ```
   *
   * @throws LockBackendError when the lock server does not answer
   * @throws LockConfigurationError when the backend cannot list, or the options are none
   */
  list(options?: ListOptions): Promise<LockPage> {
    return this.engine.list(options);
  }

  /**
   * Takes a lock for a moment and gives it back, to prove that locks work: the server answers, and this process has the rights that locks
   * need. For health checks; see also `nestjs-distributed-lock/terminus`.
   *
   * @param options `timeout` limits the whole ping; without it each call to the server has its usual time limit
   * @throws LockBackendError that says what is wrong
   * @throws LockClosedError when the application is shutting down
   */
  ping({ timeout }: { readonly timeout?: Duration } = {}): Promise<void> {
    return this.engine.ping(timeout);
  }

  /**
   * Takes the key from its holder, in any process, and gives it to the next in line. The holder learns of it at its next renewal or sooner,
   * and may work until then. It is for an operator who knows that the holder is stuck.
   *
   * @returns whether anybody held it
   * @throws LockBackendError when the lock server does not answer
   */
  forceRelease(key: string): Promise<boolean> {
    return this.engine.forceRelease(key);
  }

  #overridden<T extends AcquireOptions>(options: T | undefined): T | undefined {
    // Of the same type: only values that all options have are replaced.
    return this.overrides === undefined ? options : ({ ...options, ...this.overrides } as T);
  }
}
