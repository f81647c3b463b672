import type { Busy } from '../backend.js';

/** What the server says of several who wait for one key. */
export interface Touched {
  /** When that was, as in `Busy`. */
  readonly at: number;
  /** When it changes by itself, as in `Busy`. 0 or less: nobody has the key any more, and an attempt has to serve the line. */
  readonly retryAfterMs: number;
  readonly holder: string | undefined;
  /** For each: whether it stands in line with more than three ahead. The others have to ask by themselves. */
  readonly far: readonly boolean[];
}

interface Place {
  busy: Busy;
  seenAt: number;
}

/** How long an answer for all counts for each of them, in milliseconds. Far from the head there is nothing to see but a lost message. */
const FRESH_MS = 2_000;
/** How soon the others look while one of them has the line served, in milliseconds. */
const SERVED_MS = 250;
/** How many one call asks for. */
const AT_A_TIME = 500;

/**
 * Those of this process who stand far from the head of a line. Each has to be heard of every few seconds; a thousand statements for that would
 * keep the database from the hand-overs, so one asks for all.
 */
export class Crowd {
  readonly #lines = new Map<string, Map<string, Place>>();
  /** Whether somebody has to have the line served. */
  readonly #asking = new Map<string, Promise<boolean>>();

  /** @param ask asks for the owners in the line of one key, each of which is heard of by that */
  constructor(private readonly ask: (key: string, owners: readonly string[]) => Promise<Touched>) {}

  /** The owner was told by itself that it has to wait. */
  told(key: string, owner: string, busy: Busy, far: boolean): void {
    if (!far) return this.left(key, owner);
    let line = this.#lines.get(key);
    if (!line) this.#lines.set(key, (line = new Map()));
    line.set(owner, { busy, seenAt: performance.now() });
  }

  /** It waits no more, or has to ask by itself the next time. */
  left(key: string, owner: string): void {
    const line = this.#lines.get(key);
    if (line?.delete(owner) && line.size === 0) this.#lines.delete(key);
  }

  /** Messages may have been lost: what was answered before counts no more. */
  doubt(): void {
    for (const line of this.#lines.values()) for (const place of line.values()) place.seenAt = -Infinity;
  }

  /** What the owner would be told, or `undefined` if it has to ask by itself. */
  async look(key: string, owner: string): Promise<Busy | undefined> {
    if (!this.#lines.get(key)?.has(owner)) return undefined;
    await this.#asking.get(key);
    const place = this.#lines.get(key)?.get(owner);
    if (!place) return undefined;
    const { busy, seenAt } = place;
    const left = (busy.retryAfterMs ?? FRESH_MS) - (performance.now() - seenAt);
    if (left > 0 && performance.now() - seenAt < FRESH_MS) return { ...busy, retryAfterMs: left };
    const others = this.#asking.get(key);
    const asking = others ?? this.#askFor(key).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    // Those ahead may be gone, so that nobody else would do it.
    if ((await asking) && !others) this.left(key, owner);
    return this.#lines.get(key)?.get(owner)?.busy;
  }

  async #askFor(key: string): Promise<boolean> {
    let unserved = false;
    const owners = [...(this.#lines.get(key)?.keys() ?? [])];
    for (let i = 0; i < owners.length; i += AT_A_TIME) {
      const some = owners.slice(i, i + AT_A_TIME);
      const seenAt = performance.now();
      const { at, retryAfterMs, holder, far } = await this.ask(key, some);
      if (retryAfterMs <= 0) unserved = true;
      for (const [index, owner] of some.entries()) {
        const place = this.#lines.get(key)?.get(owner);
        if (!place) continue;
        if (far[index] !== true) {
          this.left(key, owner);
          continue;
        }
        const { ahead } = place.busy;
        place.busy = {
          ...{ granted: false, at, retryAfterMs: retryAfterMs > 0 ? retryAfterMs : SERVED_MS },
          ...(holder !== undefined && { holder }),
          ...(ahead !== undefined && { ahead }),
        };
        place.seenAt = seenAt;
      }
    }
    return unserved;
  }
}
