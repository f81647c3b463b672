import type { BackendClock, Claim, KeyBackend } from '../backend.js';
import { NoAnswerError } from './failure.js';
import { TakeBacks } from './take-backs.js';

/** A server that refuses is asked for its vote all the same, but no line is formed at it for so long, in milliseconds. */
const REFUSAL_MS = 1_000;
/** How slowly at most a silent server is asked for a sign of life, in milliseconds. */
const SLOWEST_PROBE_MS = 1_000;

export interface NodeOptions {
  /** For messages: its address, or what it is and its number. */
  readonly name: string;
  readonly clock: BackendClock;
  /** How long an answer may take, in milliseconds. */
  readonly limitMs: number;
  /** Called when those who wait at it should look for themselves, because it may be out of reach or was. */
  readonly onDoubt: (node: Node) => void;
}

/**
 * One of the servers whose majority decides: asked with a time limit of its own. One that did not answer is suspect until it answers a
 * ping, and until then it is asked for nothing that others can do without, so that nothing piles up before a server that is frozen.
 */
export class Node {
  readonly name: string;
  readonly #takeBacks: TakeBacks;
  readonly #stops = new Set<() => void>();
  /** Questions without an answer yet: what comes of them may have to be taken back. */
  readonly #open = new Set<Promise<unknown>>();
  #suspect = false;
  #refusedUntil = -Infinity;
  #heardAt = -Infinity;
  #standing = 0;
  #beating = false;
  #closed = false;

  constructor(
    readonly backend: KeyBackend,
    private readonly options: NodeOptions,
  ) {
    this.name = options.name;
    this.#takeBacks = new TakeBacks(options.clock, (claim, keepMs) =>
      this.suspect
        ? Promise.reject(new NoAnswerError(options.limitMs))
        : this.ask(() => (keepMs > 0 ? backend.release(claim, keepMs) : backend.release(claim))),
    );
  }

  /** It did not answer lately. */
  get suspect(): boolean {
    return this.#suspect;
  }

  /** Whether a line may be formed at it. */
  get canBeGate(): boolean {
    return !this.#suspect && this.options.clock.now() >= this.#refusedUntil;
  }

  /**
   * @param late gets an answer that came after the time limit
   * @param limitMs another time limit than that of votes, in milliseconds
   */
  ask<T>(question: () => Promise<T>, late?: (answer: T) => void, limitMs = this.options.limitMs): Promise<T> {
    const { clock } = this.options;
    const sentAt = clock.now();
    return new Promise((resolve, reject) => {
      let over = false;
      let again = false;
      const expire = (): void => {
        // This process may have stood still, and the answer may be here, unread.
        if (!again && clock.now() - sentAt > limitMs * 1.25) {
          again = true;
          cancel = clock.limit(Math.ceil(limitMs / 4), expire);
          return;
        }
        over = true;
        this.#silent();
        reject(new NoAnswerError(limitMs));
      };
      const answer = question();
      this.#open.add(answer);
      let cancel = clock.limit(limitMs, expire);
      answer.then(
        (value) => {
          this.#open.delete(answer);
          cancel();
          this.#heardAt = clock.now();
          this.#answered();
          if (over) late?.(value);
          else resolve(value);
        },
        (error: unknown) => {
          this.#open.delete(answer);
          cancel();
          if (over) return;
          this.#refusedUntil = clock.now() + REFUSAL_MS;
          reject(error);
        },
      );
    });
  }

  /** Releases; tries again in the background until that is confirmed. Rejects when this try was not. */
  takeBack(claim: Claim, keepMs = 0): Promise<boolean> {
    return this.#takeBacks.takeBack(claim, keepMs);
  }

  /** Resolves when nothing is left of this claim. */
  settled(claim: Claim): Promise<void> {
    return this.#takeBacks.settled(claim.owner);
  }

  /** Somebody waits at it; while that is so, it is asked for signs of life. */
  stand(): void {
    if (++this.#standing === 1) this.#beat();
  }

  leave(): void {
    this.#standing--;
  }

  /** Resolves when all has been answered, and nothing is left to take back. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await Promise.allSettled(this.#open);
    await this.#takeBacks.allSettled();
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stops) stop();
    this.#takeBacks.close();
  }

  #beat(): void {
    const { clock, limitMs, onDoubt } = this.options;
    if (this.#beating) return;
    this.#beating = true;
    this.#after(limitMs, () => {
      this.#beating = false;
      if (this.#standing === 0) return;
      this.#beat();
      if (this.#suspect || clock.now() - this.#heardAt < limitMs) return;
      // A refusal, too, is a reason to look: what was pushed meanwhile may be lost.
      this.ask(() => this.backend.ping()).catch(() => {
        if (!this.#suspect) onDoubt(this);
      });
    });
  }

  #silent(): void {
    if (this.#suspect || this.#closed) return;
    this.#suspect = true;
    this.options.onDoubt(this);
    this.#probe(this.options.limitMs);
  }

  #probe(pause: number): void {
    this.backend.ping().then(
      () => this.#answered(),
      () => undefined,
    );
    this.#after(pause, () => {
      if (this.#suspect) this.#probe(Math.min(pause * 2, SLOWEST_PROBE_MS));
    });
  }

  #answered(): void {
    if (!this.#suspect || this.#closed) return;
    this.#suspect = false;
    this.#heardAt = this.options.clock.now();
    this.#takeBacks.retryAll();
    this.options.onDoubt(this);
  }

  #after(ms: number, run: () => void): void {
    if (this.#closed) return;
    const stop = this.options.clock.after(
      ms,
      () => {
        this.#stops.delete(cancel);
        run();
      },
      true,
    );
    const cancel = (): void => {
      this.#stops.delete(cancel);
      stop();
    };
    this.#stops.add(cancel);
  }
}
