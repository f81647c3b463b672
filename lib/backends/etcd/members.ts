import { Gate } from '../line/gate.js';
import type { CallOptions, Etcd } from './client.js';

type Ask<T> = (member: Etcd, options: CallOptions, again: boolean) => Promise<T>;

interface CallBehaviour {
  /** How long one member is waited for, in milliseconds. */
  readonly patience?: number;
  /** Whether the answer still matters. A request that was given up is not sent, or not to another member. */
  readonly wanted?: () => boolean;
  /** Goes ahead of the others: what all locks of the process depend on. */
  readonly urgent?: boolean;
  /** Nothing depends on the answer: the member in use is not left for it. */
  readonly optional?: boolean;
}

/** How many requests are on their way to the cluster at once. A member answers as many in milliseconds, and thousands too late. */
export const AT_ONCE = 64;

/** Makes a client of one member that leaves all decisions to us: no retries, no circuit breaker. */
export type Connect = (host: string) => Promise<Etcd>;

/** gRPC's numbers for "this member could not do it"; anything else is the cluster's answer. */
const TROUBLE =
  /^(?!8 RESOURCE_EXHAUSTED: Received message larger)(?:1 CANCELLED|2 UNKNOWN|4 DEADLINE_EXCEEDED|8 RESOURCE_EXHAUSTED|10 ABORTED|13 INTERNAL|14 UNAVAILABLE)\b|^Channel /;

/**
 * The members of a cluster, one of which is in use until it fails. A call that it does not answer goes to the next within the
 * same call: a transaction of ours may be sent twice, so each is written to be harmless the second time.
 */
export class Members {
  readonly #clients = new Map<string, Promise<Etcd>>();
  readonly #listeners = new Set<() => void>();
  readonly #gate = new Gate(AT_ONCE);
  #current: number;
  #closed = false;

  /** @param patience how long one member is waited for, in milliseconds */
  constructor(
    readonly hosts: readonly string[],
    private readonly connect: Connect,
    readonly patience: number,
  ) {
    // Anywhere, so that many processes spread over the members.
    this.#current = Math.floor(Math.random() * hosts.length);
  }

  /**
   * @param ask sends the request to one member. `again`: a member got it before and did not answer, so it may have happened already.
   * @throws GivenUpError when it was given up before it was sent
   */
  call<T>(ask: Ask<T>, options: CallBehaviour = {}): Promise<T> {
    const { urgent = false, wanted = () => true } = options;
    return urgent ? this.#call(ask, options) : this.#gate.run(() => this.#call(ask, options), wanted);
  }

  async #call<T>(ask: Ask<T>, { patience = this.patience, wanted, optional = false }: CallBehaviour): Promise<T> {
    for (let asked = 1; ; asked++) {
      const used = this.#current;
      try {
        const member = await this.#client(used);
        return await ask(member, { deadline: Date.now() + patience }, asked > 1);
      } catch (error) {
        if (!isTrouble(error) || optional) throw error;
        this.leave(used);
        if (asked >= this.hosts.length || this.#closed) {
          // What waits here would get no other answer, only later.
          this.#gate.refuseAll(new Error(`no member answers: ${error.message}`, { cause: error }));
          throw error;
        }
        if (wanted?.() === false) throw error;
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

export function isTrouble(error: unknown): error is Error {
  return error instanceof Error && TROUBLE.test(error.message);
}
