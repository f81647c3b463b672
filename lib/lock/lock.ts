import type { LockMode } from './lock-mode.js';
import type { ConfiguredDuration, Duration } from './duration.js';

/** A lock that was acquired. Release it, or let `withLock`, `@Locked` or `await using` do so. */
export interface Lock extends AsyncDisposable {
  /** The key as it was asked for, without the module's prefix; several keys are joined by ` + `. */
  readonly key: string;
  /** All keys, in the order in which they were locked. */
  readonly keys: readonly string[];
  /** Names this acquisition on the server: `<host>-<pid>-<random>:<number>`. */
  readonly owner: string;
  readonly mode: LockMode;
  /**
   * Pass it to the store that the lock protects, so that the store can refuse anything below the highest token it has seen. That makes a
   * holder harmless that was paused past its lease. With several keys it is the highest of their tokens; see `fencingTokens`.
   */
  readonly fencingToken: bigint | undefined;
  /** The token of each key. */
  readonly fencingTokens: ReadonlyMap<string, bigint>;
  /**
   * Aborts with a `LockLostError` before the lease can end on the server, or with a `LockClosedError` when the application shuts down (see
   * `onShutdown`), while the lock is still held. Pass it to whatever the work awaits.
   */
  readonly signal: AbortSignal;
  /** Whether the lock is surely held at this moment. Asks the clock, so it is right even when no timer could run. */
  readonly held: boolean;
  /** Milliseconds for which the lock is surely held unless renewed; 0 when it is not held. */
  readonly remainingMs: number;
  /** @throws LockLostError when the lock is not surely held any more */
  assertHeld(): void;
  /**
   * Renews now, to `ttl` from now, and renews to that from here on; without one, to the length it has. A session's length is fixed.
   * @throws LockLostError when it was not held any more
   * @throws LockBackendError when the server did not answer (the lock is then held on until its lease ends)
   */
  extend(ttl?: Duration): Promise<void>;
  /**
   * Turns an exclusive lock into a shared one without letting a writer in between; waiting readers wake at once.
   * @throws LockLostError when it was not held any more
   */
  downgrade(): Promise<void>;
  /**
   * Releases the lock once; later calls return the same promise. Never throws: if the server does not answer, the release is retried in the
   * background until the lease has ended.
   * @returns whether the lock was still held; `false` means that somebody else may have worked meanwhile
   */
  release(): Promise<boolean>;
  /** For logs and answers: the lock as JSON, with its token as a string of digits. */
  toJSON(): LockJson;
}

/** A lock as it is serialised. */
export interface LockJson {
  readonly key: string;
  readonly owner: string;
  readonly mode: LockMode;
  /** Decimal digits: a JSON number is exact to 2^53 only. */
  readonly fencingToken: string | undefined;
  readonly held: boolean;
  readonly remainingMs: number;
}

/** How to acquire. Durations are milliseconds or strings such as `'30s'`. */
export interface AcquireOptions {
  /** How long to wait for the key, over all keys and retries. 0 asks once; `Infinity` is allowed. @default '10s' */
  readonly wait?: Duration;
  /** The lease: how long the server keeps the lock of a holder that fell silent; 24 days at most. @default '15s' */
  readonly ttl?: Duration;
  /** The watch-dog: renew the lease while the lock is held. @default true */
  readonly renew?: boolean;
  /** Maximum hold. Then renewing stops, `signal` aborts and the lock is released. @default none */
  readonly maxHold?: Duration;
  /** Keep others out for this long from acquisition, even after an earlier release; the server does it. @default 0 */
  readonly minHold?: Duration;
  /** `'shared'`: together with other readers, never beside a writer. @default 'exclusive' */
  readonly mode?: LockMode;
  /** How many may hold the key together: a semaphore. All holders must name the same number. @default 1 */
  readonly limit?: number;
  /**
   * Strict arrival order. `true` on a backend without a line is a configuration error. With `false`, another call of the same process may
   * hand the lock to this call out of order, without a round trip and up to 32 times in a row. Set the same value on every call that uses
   * the key.
   * @default where the backend has a line
   */
  readonly fair?: boolean;
  /** The name of options in the module's `profiles`, which apply where these say nothing. @default none */
  readonly profile?: string;
  /**
   * How a shutdown of the application treats the work under the lock. `'finish'`: the work may go on for `shutdownGrace`, then `signal`
   * aborts, and a moment later the lock is released. `'abort'`: `signal` aborts when the shutdown begins, before any `onModuleDestroy`, and
   * the shutdown waits for the work, up to `shutdownGrace`. The reason is a `LockClosedError`, and the lock is held until the work has
   * ended.
   * @default 'finish', or `onShutdown` of the module
   */
  readonly onShutdown?: 'finish' | 'abort';
  /** Ends the wait; the promise then rejects with the signal's own reason. */
  readonly signal?: AbortSignal;
  /**
   * What the lock is for, in events, metrics, traces and logs: one of few, such as `order:<id>`, and never the key itself.
   *
   * @default the template of the key for `@Locked` and `LockInterceptor`; otherwise none
   */
  readonly name?: string;
}

/** Acquire options from a configuration: their durations may be any text, which is checked when the application starts. */
export type ConfiguredOptions = Omit<AcquireOptions, 'signal' | 'profile' | DurationOption> & {
  readonly [Name in DurationOption]?: ConfiguredDuration;
};

type DurationOption = 'wait' | 'ttl' | 'maxHold' | 'minHold';

/** The server's state of a key. `JSON.stringify` writes the tokens as strings of digits. */
export interface LockInfo {
  readonly key: string;
  readonly held: boolean;
  readonly mode: LockMode;
  readonly limit: number;
  readonly holders: readonly {
    readonly owner: string;
    readonly fencingToken: bigint | undefined;
    readonly remainingMs: number;
    /** Milliseconds since it was granted, where the server knows. */
    readonly heldMs?: number;
  }[];
  /** The number of waiters in the server's line. */
  readonly waiting: number;
  /** The waiters in their order, at most 100, if the server can name them. */
  readonly waiters?: readonly { readonly owner: string; readonly waitingMs?: number }[];
  /** What each of several independent servers says, or why it says nothing. Present where a majority of servers decides. */
  readonly nodes?: readonly (
    | { readonly node: string; readonly holders: LockInfo['holders']; readonly waiting: number }
    | { readonly node: string; readonly error: string }
  )[];
}
