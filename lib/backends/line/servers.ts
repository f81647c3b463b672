/** How one question goes through the servers. */
interface AskOptions {
  /** Whether the server failed. Any other error is the cluster's answer, which the next server would repeat. */
  readonly isTrouble: (error: unknown) => error is Error;
  /** Whether the answer still matters. A question that was given up does not go to another server. */
  readonly wanted?: (() => boolean) | undefined;
  /** Hears of it when every server failed. */
  readonly onNobody?: (error: Error) => void;
}

/**
 * The servers of a cluster, one of which is in use until it fails. The next one then answers within the same question. A question may
 * thus reach two servers, so each is written to be harmless the second time.
 */
export class Servers {
  readonly #listeners = new Set<() => void>();
  #current: number;
  #closed = false;

  constructor(private readonly count: number) {
    // A random first server, so that many processes spread over the cluster.
    this.#current = Math.floor(Math.random() * count);
  }

  /** The number of the server in use. */
  get current(): number {
    return this.#current;
  }

  /** @param send asks one server. `again`: an earlier server got the question and did not answer, so it may have done it already */
  async ask<T>(send: (server: number, again: boolean) => Promise<T>, options: AskOptions): Promise<T> {
    const { isTrouble, wanted, onNobody } = options;
    for (let asked = 1; ; asked++) {
      const used = this.#current;
      try {
        return await send(used, asked > 1);
      } catch (error) {
        if (!isTrouble(error)) throw error;
        this.leave(used);
        const isLast = asked >= this.count || this.#closed;
        if (isLast) onNobody?.(error);
        if (isLast || wanted?.() === false) throw error;
      }
    }
  }

  /** That server failed: whatever uses it goes to the next. */
  leave(server: number): void {
    if (server !== this.#current) return;
    this.#current = (server + 1) % this.count;
    if (this.count > 1) for (const tell of this.#listeners) tell();
  }

  /** Tells when another server is in use. */
  onMove(listener: () => void): void {
    this.#listeners.add(listener);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** No question goes to another server from now on. */
  close(): void {
    this.#closed = true;
  }
}

/** How long a renewal waits for one server, in milliseconds: there must be time to ask the others, and to ask again. */
export const renewalPatience = (patience: number, ttl: number): number => Math.min(patience, Math.max(ttl / 6, 100));
