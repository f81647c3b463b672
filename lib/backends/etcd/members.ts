import type { CallOptions, Etcd } from './client.js';

/** Makes a client of one member that leaves all decisions to us: no retries, no circuit breaker. */
export type Connect = (host: string) => Promise<Etcd>;

/** gRPC's numbers for "this member could not do it"; anything else is the cluster's answer. */
const TROUBLE =
  /^(?:1 CANCELLED|2 UNKNOWN|4 DEADLINE_EXCEEDED|8 RESOURCE_EXHAUSTED|10 ABORTED|13 INTERNAL|14 UNAVAILABLE)\b|^Channel /;

/**
 * The members of a cluster, one of which is in use until it fails. A call that it does not answer goes to the next within the
 * same call: a transaction of ours may be sent twice, so each is written to be harmless the second time.
 */
export class Members {
  readonly #clients = new Map<string, Promise<Etcd>>();
  readonly #listeners = new Set<() => void>();
  #current: number;
  #closed = false;

  /** @param patience how long one member is waited for, in milliseconds */
  constructor(
    private readonly hosts: readonly string[],
    private readonly connect: Connect,
    readonly patience: number,
  ) {
    // Anywhere, so that many processes spread over the members.
    this.#current = Math.floor(Math.random() * hosts.length);
  }

  /**
   * @param ask sends the request to one member. `again`: a member got it before and did not answer, so it may have happened already.
   * @param wanted whether the answer still matters; a request that was given up is not sent to another member
   */
  async call<T>(
    ask: (member: Etcd, options: CallOptions, again: boolean) => Promise<T>,
    { patience = this.patience, wanted = () => true }: { patience?: number; wanted?: () => boolean } = {},
  ): Promise<T> {
    for (let asked = 1; ; asked++) {
      const used = this.#current;
      try {
        const member = await this.#client(used);
        return await ask(member, { deadline: Date.now() + patience }, asked > 1);
      } catch (error) {
        if (!isTrouble(error)) throw error;
        this.leave(used);
        if (asked >= this.hosts.length || this.#closed || !wanted()) throw error;
      }
    }
  }

  /** The member in use and its number, for a stream. */
  async use(): Promise<{ member: Etcd; number: number }> {
    const number = this.#current;
    return { member: await this.#client(number), number };
  }

  /** That member failed: whatever uses it goes to the next. */
  leave(number: number): void {
    if (number !== this.#current) return;
    this.#current = (number + 1) % this.hosts.length;
    if (this.hosts.length > 1) for (const tell of this.#listeners) tell();
  }

  /** Whether that member is in use. */
  uses(number: number): boolean {
    return number === this.#current;
  }

  /** Tells when another member is in use. */
  onMove(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const client of await Promise.allSettled(this.#clients.values()))
      if (client.status === 'fulfilled') client.value.close();
  }

  #client(number: number): Promise<Etcd> {
    const host = this.hosts[number] ?? '';
    let client = this.#clients.get(host);
    if (!client) {
      client = this.connect(host);
      this.#clients.set(host, client);
    }
    return client;
  }
}

export function isTrouble(error: unknown): boolean {
  return error instanceof Error && TROUBLE.test(error.message);
}
