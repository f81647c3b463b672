import type { BackendClock, Claim } from '../backend.js';

/** How soon, and how slowly at most, a release that was not confirmed is tried again, in milliseconds. */
const FIRST_RETRY_MS = 50;
const SLOWEST_RETRY_MS = 2_000;
/** The longest that a server keeps the place of a silent waiter, in milliseconds. */
const PLACE_FORGOTTEN_MS = 20_000;

interface TakeBack {
  readonly claim: Claim;
  readonly keepMs: number;
  readonly until: number;
  pause: number;
  /** Stops the pause before the next try. */
  stop: (() => void) | undefined;
  over: (() => void)[];
}

/**
 * What one server may still have for claims that were given up or released. Each is released again until the server confirms it, or must
 * have forgotten it by itself: the engine knows only the whole, so each server's own is repeated here.
 */
export class TakeBacks {
  readonly #pending = new Map<string, TakeBack>();
  #closed = false;

  constructor(
    private readonly clock: BackendClock,
    private readonly release: (claim: Claim, keepMs: number) => Promise<boolean>,
  ) {}

  /** Tries once, and goes on in the background when that was not confirmed. Rejects when this try was not confirmed. */
  async takeBack(claim: Claim, keepMs: number): Promise<boolean> {
    const known = this.#pending.get(claim.owner);
    known?.stop?.();
    const until = this.clock.now() + claim.ttl + keepMs + PLACE_FORGOTTEN_MS;
    const one: TakeBack = known ?? { claim, keepMs, until, pause: FIRST_RETRY_MS, stop: undefined, over: [] };
    this.#pending.set(claim.owner, one);
    return this.#try(one);
  }

  /** Tries all of them now: the server answers again. */
  retryAll(): void {
    for (const one of this.#pending.values()) {
      if (!one.stop) continue;
      one.stop();
      one.pause = FIRST_RETRY_MS;
      this.#try(one).catch(() => undefined);
    }
  }

  /** Resolves when nothing is left for this claim to take back. */
  settled(owner: string): Promise<void> {
    const one = this.#pending.get(owner);
    return one ? new Promise((resolve) => one.over.push(resolve)) : Promise.resolve();
  }

  /** Resolves when nothing is left at all. */
  async allSettled(): Promise<void> {
    await Promise.all([...this.#pending.keys()].map((owner) => this.settled(owner)));
  }

  close(): void {
    this.#closed = true;
    for (const one of this.#pending.values()) this.#end(one);
  }

  async #try(one: TakeBack): Promise<boolean> {
    one.stop = undefined;
    try {
      const held = await this.release(one.claim, one.keepMs);
      this.#end(one);
      return held;
    } catch (error) {
      if (this.#closed || this.clock.now() >= one.until) this.#end(one);
      else this.#pause(one);
      throw error;
    }
  }

  #pause(one: TakeBack): void {
    // Asked for twice at once, the other one may have set it already.
    one.stop?.();
    const cancel = this.clock.after(one.pause, () => void this.#try(one).catch(() => undefined), true);
    one.stop = () => {
      one.stop = undefined;
      cancel();
    };
    one.pause = Math.min(one.pause * 2, SLOWEST_RETRY_MS);
  }

  #end(one: TakeBack): void {
    one.stop?.();
    if (this.#pending.get(one.claim.owner) === one) this.#pending.delete(one.claim.owner);
    for (const over of one.over.splice(0)) over();
  }
}
