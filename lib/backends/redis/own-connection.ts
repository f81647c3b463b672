import { BEAT_MS, Pulse } from './pulse.js';
import { isRefusal } from './refusals.js';

/** A connection as a client library gives it, told not to reconnect: when it breaks it ends for good. */
export interface Connection {
  ping(): Promise<unknown>;
  close(): void;
}

/** Whom a connection tells how it is. After `close()` it tells nothing. */
export interface Told {
  /** It stands and can be used. */
  up(): void;
  /** It ended, or never came to stand; with why, where that is known. */
  down(error?: Error): void;
}

export type Dial<C extends Connection> = (told: Told) => C;

export interface OwnConnectionOptions {
  /** Whether somebody relies on it just now; then it is looked after closely. */
  readonly used?: () => boolean;
  /** How long the server may take for an answer on it, in milliseconds. */
  readonly silentMs?: number;
  /** How often it is asked for a sign of life while it is not used, in milliseconds. */
  readonly idleMs?: number;
  onUp?(): void;
  /** The server does not answer on it; called again and again until it does, or another one stands. */
  onSilent?(): void;
  /** It no longer stands, or still does not; with the reason, if that will hold for a while. */
  onDown?(reason?: Error): void;
}

/** How soon to dial again, in milliseconds: that much more each time, and so much at most. */
const PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** How long a new connection may take until it stands. */
export const DIAL_MS = 2_000;
/** A connection that has been missing for longer is not waited for any more: the server is down, and who asks learns it at once. */
const BLIP_MS = 1_000;

/**
 * Owns one connection for as long as it is needed: dials a fresh one when it breaks, when it is silent, and when it leads to the wrong
 * place. Each is a new duplicate of its pattern, so that it has the credentials of now. The old one is used until the new one stands.
 * None of it keeps the process alive.
 */
export class OwnConnection<C extends Connection> {
  #current: C | undefined;
  #pulse: Pulse | undefined;
  #next: C | undefined;
  #dialedAt = 0;
  /** Since when there is none that stands. */
  #missingSince = 0;
  #attempts = 0;
  #redial: NodeJS.Timeout | undefined;
  #beat: NodeJS.Timeout | undefined;
  #failure: Error | undefined;
  #closed = false;
  #coming: Promise<C> | undefined;
  #settle: ((error?: Error) => void) | undefined;

  constructor(
    private readonly dial: Dial<C>,
    private readonly options: OwnConnectionOptions = {},
  ) {}

  /** The connection that stands, if one does. */
  get current(): C | undefined {
    return this.#current;
  }

  /** Opens it, unless that was done before. */
  open(): void {
    if (this.#closed || this.#beat) return;
    this.#beat = setInterval(() => this.#look(), BEAT_MS);
    this.#beat.unref();
    this.#missingSince = performance.now();
    this.#dial();
  }

  /** Resolves when it stands. @throws the server's refusal, or why it does not stand after that many milliseconds */
  standing(within: number): Promise<C> {
    if (this.#current) return Promise.resolve(this.#current);
    if (this.#closed) return Promise.reject(new Error('the locks are closed'));
    this.open();
    // What kept it from standing holds until it stands: who comes later need not find that out by waiting.
    if (this.#failure && this.#isFinal(this.#failure)) return Promise.reject(this.#failure);
    // All who wait for it wait for the same.
    return (this.#coming ??= new Promise<C>((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer);
        this.#settle = this.#coming = undefined;
        if (this.#current) resolve(this.#current);
        else reject(error ?? this.#failure ?? new Error(`no connection to Redis within ${within} ms`));
      };
      const timer = setTimeout(end, within).unref();
      this.#settle = end;
    }));
  }

  /** Puts a fresh connection in its place, as soon as that stands. */
  renew(): void {
    if (this.#beat && !this.#next && !this.#redial) this.#dial();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#beat);
    clearTimeout(this.#redial);
    this.#settle?.(new Error('the locks are closed'));
    const [current, next] = [this.#current, this.#next];
    this.#current = this.#next = undefined;
    current?.close();
    next?.close();
  }

  /** Whether to tell who asks that there is no connection. A server that restarts, or hands over, is back in a moment: they wait for it. */
  #isFinal(failure: Error): boolean {
    return isRefusal(failure) || performance.now() - this.#missingSince > BLIP_MS;
  }

  #look(): void {
    if (this.#next && performance.now() - this.#dialedAt > DIAL_MS) {
      const next = this.#next;
      this.#down(next, this.#failure ?? new Error(`Redis did not take a connection within ${DIAL_MS} ms`));
      next.close();
    }
    this.#pulse?.beat(this.options.used?.() ?? false, this.options.idleMs);
  }

  #dial(): void {
    this.#redial = undefined;
    if (this.#closed) return;
    this.#dialedAt = performance.now();
    // It tells at the earliest when this is over.
    const connection = this.dial({
      up: () => this.#up(connection),
      down: (error) => this.#down(connection, error),
    });
    this.#next = connection;
  }

  #up(connection: C): void {
    if (this.#next !== connection) return;
    const old = this.#current;
    this.#current = connection;
    this.#next = this.#failure = undefined;
    this.#attempts = 0;
    this.#pulse = new Pulse(
      () => connection.ping(),
      () => {
        this.renew();
        this.options.onSilent?.();
      },
      this.options.silentMs,
    );
    this.#settle?.();
    this.options.onUp?.();
    old?.close();
  }

  #down(connection: C, error: Error | undefined): void {
    if (connection === this.#next) this.#next = undefined;
    else if (connection === this.#current) {
      this.#current = this.#pulse = undefined;
      this.#missingSince = performance.now();
    } else return;
    if (error) this.#failure = error;
    if (!this.#current) {
      const reason = error && this.#isFinal(error) ? error : undefined;
      if (reason) this.#settle?.(reason);
      this.options.onDown?.(reason);
    }
    if (this.#closed || this.#next || this.#redial) return;
    // The first time at once: a connection that was cut is there again before anybody misses it.
    const pause = Math.min(PAUSE_MS * this.#attempts++, LONGEST_PAUSE_MS);
    this.#redial = setTimeout(() => this.#dial(), pause).unref();
  }
}
