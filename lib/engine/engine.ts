import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Claim, LockBackend } from '../backends/backend.js';
import { Acquisition } from './waiting/acquisition.js';
import { ask } from './asking/ask.js';
import { type Clock, SystemClock } from './time/clock.js';
import { inPortions } from './time/portions.js';
import { TimerQueue } from './time/timer-queue.js';
import { type Duration, toMilliseconds } from '../lock/duration.js';
import { type Entered, enter } from './holding/enter.js';
import { LockBackendError, LockClosedError, LockConfigurationError, type LockErrorDetails } from '../lock/errors.js';
import type { LockEvent, LockEventListener } from '../lock/events.js';
import { type Family, familyOf } from './leases/family.js';
import { Hold } from './holding/hold.js';
import { Watchdog } from './leases/watchdog.js';
import { canonicalKeys, checkedPrefix, joined } from './options/keys.js';
import { canTakeOver, LocalHandOver } from './leases/local-hand-over.js';
import type { AcquireOptions, Lock, LockInfo } from '../lock/lock.js';
import { CHECK_THE_SERVER, messageOf } from '../lock/messages.js';
import { infoOf, listLocks } from './asking/list.js';
import { orWarn } from './asking/or-warn.js';
import { PROBE_KEY, probe } from './asking/probe.js';
import type { ListOptions, LockPage } from '../lock/listing.js';
import {
  checkDefaultNames,
  type ResolvedOptions,
  resolveOptions,
  resolveTtl,
  withDefaults,
} from './options/options.js';
import type { EngineParts } from './parts.js';
import { type Listed, UnorderedList } from './time/unordered-list.js';
import { ReleaseRetries } from './asking/release-retries.js';

export interface EngineOptions {
  /** The backend's name, for messages. @default 'default' */
  readonly name?: string;
  /** Put before every key on the server. @default 'lock:' */
  readonly prefix?: string;
  /** Options that apply where a call names none. */
  readonly defaults?: AcquireOptions;
  /** The longest a single call to the server is waited for. @default '2s', or what the backend says */
  readonly callTimeout?: Duration;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface WithLockOptions extends AcquireOptions {
  /** Whether work that already runs under the key goes on under the same lock; otherwise it would wait for itself. @default true */
  readonly reentrant?: boolean;
}

/** How long closing waits for unconfirmed releases, in milliseconds. */
const LAST_RELEASES_MS = 2_000;

/** Acquires, keeps and releases locks on one backend. Everything that is the same for all backends, once. */
export class LockEngine {
  readonly name: string;
  /** What locks are on: for a description, the backend that was made of it for this engine. */
  readonly backend: LockBackend;
  /** Names this process on the server; the owners of its claims begin with it. */
  readonly instance = `${hostname()
    .replace(/[^\w.-]/g, '')
    .slice(0, 48)}-${process.pid}-${randomBytes(6).toString('base64url')}`;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #callTimeout: number;
  readonly #defaults: AcquireOptions;
  readonly #resolved = new WeakMap<AcquireOptions, ResolvedOptions>();
  readonly #family: Family;
  readonly #watchdog: Watchdog;
  readonly #undo: ReleaseRetries;
  readonly #listeners = new Set<LockEventListener>();
  readonly #holds = new UnorderedList<Hold>();
  readonly #acquisitions = new UnorderedList<Acquisition>();
  readonly #parts: EngineParts;
  readonly #stopListening: (() => void) | undefined;
  /** Called when an acquisition or a hold is over. */
  #onEnd: (() => void) | undefined;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #closing: Promise<void> | undefined;

  /** @throws LockConfigurationError when the options can never work with this backend */
  constructor(given: LockBackend, options: EngineOptions = {}) {
    const backend = given.forApplication?.() ?? given;
    this.backend = backend;
    this.name = options.name ?? 'default';
    this.#prefix = checkedPrefix(options.prefix ?? 'lock:');
    this.#clock = options.clock ?? new SystemClock();
    this.#callTimeout = toMilliseconds('callTimeout', options.callTimeout ?? backend.patienceMs ?? '2s');
    checkDefaultNames(options.defaults ?? NONE);
    this.#defaults = Object.freeze({ ...options.defaults });
    this.validate(NONE);
    const clock = this.#clock;
    const random = options.random ?? Math.random;
    const callTimeout = this.#callTimeout;
    this.#family = familyOf(backend, { clock, callTimeout, watchdog: () => this.#watchdog, undo: () => this.#undo });
    this.#watchdog = new Watchdog({
      clock,
      random,
      callTimeout,
      renew: (leases) => this.#family.renew(leases),
      nodeOf: this.#family.nodeOf,
    });
    this.#undo = new ReleaseRetries(clock, callTimeout);
    let claims = 0;
    this.#parts = {
      clock,
      random,
      callTimeout,
      backend,
      backendName: this.name,
      family: this.#family,
      watchdog: this.#watchdog,
      undo: this.#undo,
      handOver: new LocalHandOver(this.instance, canTakeOver(backend)),
      looks: new TimerQueue(clock, false, (turns) => inPortions(clock, turns, (turn) => turn.wake())),
      prefix: this.#prefix,
      nextOwner: () => `${this.instance}:${++claims}`,
      emit: (make) => this.#emit(make),
      ttlOf: (ttl) => resolveTtl(ttl, backend.traits, backend.kind),
      onOver: (acquisition) => this.#forget(this.#acquisitions, acquisition),
      onAcquired: (hold) => this.#holds.add(hold),
      onReleased: (hold) => this.#forget(this.#holds, hold),
    };
    this.#stopListening = backend.onLost?.((owner) => this.#taken(owner));
  }

  /** Checks options before they are used. @throws LockConfigurationError */
  validate(options: AcquireOptions): void {
    this.#filledIn(options);
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
   * Runs the work under the lock and releases it. The work's own error comes out whatever happens to the lock.
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

  /** The two halves of `withLock`, for work that is not one promise. */
  enter(key: string | readonly string[], options: WithLockOptions = NONE): Promise<Entered> {
    return enter(this, this.#clock, this.resolve(options), canonicalKeys(key), options);
  }

  /** What the server knows of the key. @throws LockBackendError */
  async inspect(key: string): Promise<LockInfo> {
    const [name = ''] = canonicalKeys(key);
    const state = await this.#ask(`inspect '${name}'`, { key: name }, () => this.backend.inspect(this.#prefix + name));
    return infoOf(name, state);
  }

  /** A page of the locks that are held or waited for. @throws LockBackendError, LockConfigurationError */
  async list(options: ListOptions = NONE): Promise<LockPage> {
    if (!this.backend.list) {
      throw new LockConfigurationError(
        `The backend '${this.name}' (${this.backend.kind}) cannot list its locks. Look at single keys with inspect().`,
        { backend: this.name },
      );
    }
    return listLocks(options, this.#prefix, (query) =>
      this.#ask('list its locks', {}, async () => this.backend.list?.(query) ?? { keys: [] }),
    );
  }

  /**
   * Takes the key from whoever holds it, for emergencies: the holder's `signal` aborts, and whoever is first in line gets it.
   * @returns whether anybody held it
   * @throws LockBackendError
   */
  async forceRelease(key: string): Promise<boolean> {
    const [name = ''] = canonicalKeys(key);
    return this.#ask(`force the release of '${name}'`, { key: name }, () =>
      this.backend.forceRelease(this.#prefix + name),
    );
  }

  /**
   * Resolves when the server answers and lets this process take a lock and give it back.
   * @param timeout for all of it; without one, the time limit of a call for each question
   * @throws LockBackendError, LockClosedError
   */
  async ping(timeout?: Duration): Promise<void> {
    if (this.#state === 'closed') {
      throw new LockClosedError(`The application is shutting down, and '${this.name}' takes no locks.`, {
        backend: this.name,
      });
    }
    const milliseconds = timeout === undefined ? this.#callTimeout : toMilliseconds('timeout', timeout);
    const until = this.#clock.now() + milliseconds;
    await this.#ask('be reached', {}, () => this.backend.ping(), milliseconds);
    const { ttl, claimTtl } = this.resolve(NONE);
    const owner = this.#parts.nextOwner();
    const claim: Claim = { key: this.#prefix + PROBE_KEY, owner, mode: 'exclusive', limit: 1, ttl, claimTtl };
    const left = timeout === undefined ? this.#callTimeout : Math.max(0, until - this.#clock.now());
    await this.#ask('take a lock and give it back', {}, () => probe(this.#family, this.#undo, claim), left);
  }

  /** Calls the listener for every event; returns how to stop that. */
  listen(listener: LockEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nobody waits any more: who does is sent home, and a new call asks once. Locks that are held stay. */
  drain(): void {
    if (this.#state === 'open') this.#state = 'draining';
    for (const acquisition of this.#acquisitions) acquisition.cancel(this.#closed(acquisition.key));
  }

  /** Refuses new calls, lets holders finish for that long, releases the rest, and closes what the backend opened. */
  close(graceMs = 10_000): Promise<void> {
    return (this.#closing ??= this.#close(graceMs));
  }

  /** Acquires as `acquire` does. For the engine's own parts. */
  hold(key: string | readonly string[], options?: AcquireOptions): Promise<Hold> {
    return this.#acquire(key, options, false).then((hold) => {
      if (hold) return hold;
      throw this.#closed(joined(canonicalKeys(key)));
    });
  }

  /** The options with defaults filled in. Only a frozen object is looked at once: any other may say something else the next time. */
  resolve(options: AcquireOptions): ResolvedOptions {
    if (!Object.isFrozen(options)) return this.#filledIn(options);
    let resolved = this.#resolved.get(options);
    if (!resolved) {
      resolved = this.#filledIn(options);
      this.#resolved.set(options, resolved);
    }
    return resolved;
  }

  #filledIn(options: AcquireOptions): ResolvedOptions {
    return resolveOptions(withDefaults(options, this.#defaults), this.backend.traits, this.backend.kind);
  }

  #acquire(key: string | readonly string[], options: AcquireOptions = NONE, once: boolean): Promise<Hold | undefined> {
    try {
      const keys = canonicalKeys(key);
      const resolved = this.resolve(options);
      if (this.#state === 'closed') throw this.#closed(joined(keys));
      resolved.signal?.throwIfAborted();
      const draining = this.#state === 'draining';
      const acquisition = new Acquisition(keys, once || draining ? { ...resolved, wait: 0 } : resolved, this.#parts);
      this.#acquisitions.add(acquisition);
      return acquisition.run(once || draining);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #close(graceMs: number): Promise<void> {
    this.#state = 'closed';
    this.drain();
    await this.#until(() => this.#acquisitions.size === 0 && this.#holds.size === 0, graceMs);
    const reason = 'the application shut down before the work under it had ended';
    await Promise.all([...this.#holds].map((hold) => hold.surrender(reason)));
    // Called off, each of them ends soon, whatever the server does.
    await this.#until(() => this.#acquisitions.size === 0, Infinity);
    await this.#undo.settle(LAST_RELEASES_MS);
    await this.#family.close();
    this.#watchdog.stop();
    this.#stopListening?.();
    await this.backend.close();
  }

  /** Waits until something that is over is what was waited for, or that long. */
  async #until(reached: () => boolean, milliseconds: number): Promise<void> {
    // No timer for no time: under the fake timers of a test it would never come.
    if (reached() || milliseconds === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = milliseconds === Infinity ? undefined : this.#clock.after(milliseconds, resolve);
      this.#onEnd = () => {
        if (!reached()) return;
        cancel?.();
        resolve();
      };
    });
    this.#onEnd = undefined;
  }

  #forget<T extends Listed>(some: UnorderedList<T>, one: T): void {
    some.remove(one);
    this.#onEnd?.();
  }

  /** The server took the key of this owner away; it may be one of several, with the others still waited for. */
  #taken(owner: string): void {
    this.#watchdog.lose(owner, 'it was released by force, or its key was removed');
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

  async #ask<T>(
    what: string,
    details: LockErrorDetails,
    question: () => Promise<T>,
    milliseconds = this.#callTimeout,
  ): Promise<T> {
    try {
      return await ask(this.#clock, milliseconds, question);
    } catch (cause) {
      throw new LockBackendError(
        `The lock backend '${this.name}' (${this.backend.kind}) could not ${what}: ${messageOf(cause)}. ` +
          CHECK_THE_SERVER,
        { backend: this.name, cause, ...details },
      );
    }
  }

  #emit(make: () => LockEvent): void {
    if (this.#listeners.size === 0) return;
    const event = make();
    for (const listener of this.#listeners) orWarn('LockEventListener', () => listener(event));
  }
}

const NONE: AcquireOptions = Object.freeze({});
