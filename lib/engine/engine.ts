import type { LockBackend } from '../backends/backend.js';
import { type Duration, toMilliseconds } from '../lock/duration.js';
import { LockClosedError } from '../lock/errors.js';
import type { LockEventListener, LockEventType } from '../lock/events.js';
import type { LockInstrumentation } from '../lock/instrumentation.js';
import type { AcquireOptions, Lock, LockInfo } from '../lock/lock.js';
import type { ListOptions, LockPage } from '../lock/listing.js';
import { type Assembly, assemble } from './assembly.js';
import { type Entered, enter, type WithLockOptions } from './holding/enter.js';
import type { Hold } from './holding/hold.js';
import type { HeldNow } from './holding/hold-events.js';
import { instanceName } from './instance.js';
import { FORCED, SHUT_DOWN } from './leases/loss.js';
import { Questions } from './looking/questions.js';
import { canonicalKeys, checkedPrefix, joined } from './options/keys.js';
import { OptionResolver } from './options/resolver.js';
import { Shutdown } from './shutdown.js';
import { EventListeners } from './telling/listeners.js';
import type { LeftBehind } from './asking/release-retries.js';
import { type Clock, SystemClock } from './time/clock.js';

export type { WithLockOptions };

export interface EngineOptions {
  /** The backend's name, for messages. @default 'default' */
  readonly name?: string;
  /** The prefix of every key on the server. @default 'lock:' */
  readonly prefix?: string;
  /** Options for calls that do not set them. */
  readonly defaults?: AcquireOptions;
  /** Named options, for calls that name them as `profile`. */
  readonly profiles?: Readonly<Record<string, AcquireOptions>>;
  /** Time limit of a single call to the server. @default '2s', or the backend's own */
  readonly callTimeout?: Duration;
  /** Observes every call for a lock. */
  readonly instrumentations?: readonly LockInstrumentation[];
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** How long `close` waits for unconfirmed releases, in milliseconds. */
const LAST_RELEASES_MS = 2_000;

/** Acquires, keeps and releases locks on one backend. It has everything that is the same for all backends. */
export class LockEngine {
  readonly name: string;
  /** The backend that the locks live on. From a description, the engine makes a backend of its own. */
  readonly backend: LockBackend;
  /** Names this process on the server. The owners of its claims begin with it. */
  readonly instance = instanceName();
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #callTimeout: number;
  readonly #options: OptionResolver;
  readonly #listeners = new EventListeners();
  readonly #rooms: Assembly;
  readonly #questions: Questions;
  readonly #stopListening: (() => void) | undefined;
  readonly #shutdown: Shutdown;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #leftBehind: readonly LeftBehind[] = [];
  #closing: Promise<void> | undefined;

  /** @throws LockConfigurationError when the options can never work with this backend */
  constructor(given: LockBackend, options: EngineOptions = {}) {
    const clock = options.clock ?? new SystemClock();
    const random = options.random ?? Math.random;
    const backend = given.forApplication?.({ clock, random }) ?? given;
    this.backend = backend;
    this.name = options.name ?? 'default';
    this.#prefix = checkedPrefix(options.prefix ?? 'lock:');
    this.#clock = clock;
    this.#callTimeout = toMilliseconds('callTimeout', options.callTimeout ?? backend.patienceMs ?? '2s');
    this.#options = new OptionResolver(options.defaults, backend, options.profiles);
    this.#rooms = assemble({
      backend,
      backendName: this.name,
      instance: this.instance,
      prefix: this.#prefix,
      clock,
      random,
      callTimeout: this.#callTimeout,
      ttlOf: (ttl) => this.#options.ttl(ttl),
      listeners: this.#listeners,
      instrumentations: options.instrumentations ?? [],
      onEnd: () => this.#shutdown.look(),
    });
    this.#shutdown = new Shutdown(this.#clock, this.#rooms);
    this.#questions = new Questions({
      ...this.#rooms,
      backend,
      backendName: this.name,
      prefix: this.#prefix,
      clock: this.#clock,
      callTimeout: this.#callTimeout,
    });
    this.#stopListening = backend.onLost?.((owner) => this.#taken(owner));
  }

  /** Checks options before they are used. @throws LockConfigurationError */
  validate(options: AcquireOptions): void {
    this.#options.check(options);
  }

  /**
   * Acquires the key, or all of several.
   * @throws LockTimeoutError when it stayed busy for the whole `wait`
   * @throws LockBackendError when the server did not answer
   * @throws LockClosedError while the application shuts down
   * @throws LockConfigurationError, LockKeyError when it could never work
   */
  acquire(key: string | readonly string[], options?: AcquireOptions): Promise<Lock> {
    return this.hold(key, options);
  }

  /** As `acquire`, but never waits: `null` when the key is busy. */
  tryAcquire(key: string | readonly string[], options?: Omit<AcquireOptions, 'wait'>): Promise<Lock | null> {
    return this.#acquire(key, options, true).then((hold) => hold ?? null);
  }

  /**
   * Runs the work under the lock, then releases the lock. If the work fails, you get its own error, whatever happens to the lock.
   * @throws LockLostError when the work succeeded but the lock was lost meanwhile
   */
  async withLock<T>(
    key: string | readonly string[],
    work: (lock: Lock) => PromiseLike<T> | T,
    options?: WithLockOptions,
  ): Promise<T> {
    const entered = await this.enter(key, options);
    let result: T;
    try {
      result = await entered.run(() => work(entered.lock));
    } catch (error) {
      await entered.leave(true);
      throw error;
    }
    await entered.leave(false);
    return result;
  }

  /** The two halves of `withLock`, for work that is more than one promise. */
  enter(key: string | readonly string[], options: WithLockOptions = NONE): Promise<Entered> {
    return enter(this, this.#clock, this.#options.resolve(options), canonicalKeys(key), options);
  }

  /**
   * Resolves to what the server knows of the key.
   * @throws LockBackendError
   */
  inspect(key: string): Promise<LockInfo> {
    return this.#questions.inspect(key);
  }

  /**
   * Resolves to a page of the locks that somebody holds or waits for.
   * @throws LockBackendError, LockConfigurationError
   */
  list(options: ListOptions = NONE): Promise<LockPage> {
    return this.#questions.list(options);
  }

  /**
   * Takes the key from its holder, for emergencies. The holder's `signal` aborts, and the first waiter gets the lock.
   * @returns whether anybody held it
   * @throws LockBackendError
   */
  forceRelease(key: string): Promise<boolean> {
    return this.#questions.forceRelease(key);
  }

  /**
   * Resolves when the server answers and this process can take a lock and give it back.
   * @param timeout for the whole ping; by default each call has its own time limit
   * @throws LockBackendError, LockClosedError
   */
  async ping(timeout?: Duration): Promise<void> {
    if (this.#state === 'closed') {
      throw new LockClosedError(`The application is shutting down, and '${this.name}' takes no locks.`, {
        backend: this.name,
      });
    }
    await this.#questions.ping(this.#options.resolve(NONE), timeout);
  }

  /** Warnings for an operator, although locks work. They go to the log. */
  warnings(): Promise<readonly string[]> {
    return this.#questions.warnings();
  }

  /**
   * Calls the listener for every event, or only for some types. Types that nobody listens to cost nothing.
   * @returns how to unsubscribe
   */
  listen(listener: LockEventListener, types?: readonly LockEventType[]): () => void {
    return this.#listeners.listen(listener, types);
  }

  /** The locks that this process holds, for the log. */
  get held(): readonly HeldNow[] {
    return this.#rooms.holds.held;
  }

  /** Ends all waiting: waiting calls fail, and a new call asks the server only once. Held locks stay. */
  drain(): void {
    if (this.#state === 'open') this.#state = 'draining';
    this.#rooms.acquisitions.cancel((key) => this.#closed(key));
  }

  /**
   * Begins the shutdown. Work with `onShutdown: 'abort'` is told at once, all other work when the grace is over.
   * @param onGraceOver called at that moment, if any lock is still held
   * @returns when the work that was told at once has ended, or the grace is over
   */
  shutDown(graceMs: number, onGraceOver?: () => void): Promise<void> {
    return this.#shutdown.begin(graceMs, onGraceOver);
  }

  /** Refuses new calls, lets holders finish for that long, releases the remaining locks, and closes what the backend opened. */
  close(graceMs = 10_000): Promise<void> {
    return (this.#closing ??= this.#close(graceMs));
  }

  /** As `acquire`, for the engine's own parts. */
  hold(key: string | readonly string[], options?: AcquireOptions): Promise<Hold> {
    return this.#acquire(key, options, false).then((hold) => {
      if (hold) return hold;
      throw this.#closed(joined(canonicalKeys(key)));
    });
  }

  #acquire(key: string | readonly string[], options: AcquireOptions = NONE, once: boolean): Promise<Hold | undefined> {
    try {
      const keys = canonicalKeys(key);
      const resolved = this.#options.resolve(options);
      if (this.#state === 'closed') throw this.#closed(joined(keys));
      resolved.signal?.throwIfAborted();
      const onBusy = once ? 'skipped' : this.#state === 'draining' ? 'shutdown' : undefined;
      return this.#rooms.acquisitions.run(keys, resolved, onBusy);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #close(graceMs: number): Promise<void> {
    this.#state = 'closed';
    this.drain();
    const { holds, family, watchdog, retries } = this.#rooms;
    await this.#shutdown.finish(graceMs);
    family.closing?.();
    await holds.surrender(SHUT_DOWN);
    // A cancelled acquisition ends soon, whatever the server does.
    await this.#shutdown.lastAcquisitions();
    await retries.settle(LAST_RELEASES_MS);
    this.#leftBehind = retries.leftBehind;
    await family.close();
    watchdog.stop();
    this.#stopListening?.();
    await this.backend.close();
  }

  /** The keys whose release the server did not confirm, with the reasons. Read it after `close`. The keys are free when their leases end. */
  get leftBehind(): readonly LeftBehind[] {
    return this.#leftBehind.map(({ key, error }) => ({ key: key.slice(this.#prefix.length), error }));
  }

  /** The server took a key from this owner. The owner may have other keys, and may still wait for some. */
  #taken(owner: string): void {
    this.#rooms.watchdog.lose(owner, FORCED);
  }

  #closed(key: string): LockClosedError {
    return new LockClosedError(
      `'${key}' was not locked: the application is shutting down, and '${this.name}' takes no new locks.`,
      {
        key,
        backend: this.name,
      },
    );
  }
}

const NONE: AcquireOptions = Object.freeze({});
