import { Gate } from '../line/gate.js';
import { Servers } from '../line/servers.js';
import type { Etcd } from './client.js';

interface CallOptions {
  /** By the wall clock, for gRPC. */
  readonly deadline: number;
}

type Ask<T> = (member: Etcd, options: CallOptions, again: boolean) => Promise<T>;

interface CallBehaviour {
  /** How long one member is waited for, in milliseconds. */
  readonly patience?: number;
  /** Whether the answer still matters. A request that was given up is not sent, or not to another member. */
  readonly wanted?: () => boolean;
  /** Goes ahead of the others: all locks of the process depend on it. */
  readonly urgent?: boolean;
  /** Nothing depends on the answer, so a failure does not change the member in use. */
  readonly optional?: boolean;
}

/** How many requests are on their way to the cluster at once. A member answers that many in milliseconds, and thousands too late. */
export const AT_ONCE = 64;

/** Makes a client of one member that neither retries nor breaks a circuit: `Members` decides what follows from a failure. */
export type Connect = (host: string) => Promise<Etcd>;

/** gRPC's numbers for "this member could not do it"; anything else is the cluster's answer. */
const TROUBLE =
  /^(?!8 RESOURCE_EXHAUSTED: Received message larger)(?:1 CANCELLED|2 UNKNOWN|4 DEADLINE_EXCEEDED|8 RESOURCE_EXHAUSTED|10 ABORTED|13 INTERNAL|14 UNAVAILABLE)\b|^Channel /;

/** The members of a cluster, and a bounded number of requests to the one in use. */
export class Members {
  readonly servers: Servers;
  readonly #clients = new Map<number, Promise<Etcd>>();
  readonly #gate = new Gate(AT_ONCE);

  /** @param patience how long one member is waited for, in milliseconds */
  constructor(
    readonly hosts: readonly string[],
    private readonly connect: Connect,
    readonly patience: number,
  ) {
    this.servers = new Servers(hosts.length);
  }

  /**
   * @param ask sends the request to one member. `again`: a member got it before and did not answer, so it may have happened already.
   * @throws GivenUpError when it was given up before it was sent
   */
  call<T>(ask: Ask<T>, options: CallBehaviour = {}): Promise<T> {
    const { urgent = false, wanted = () => true } = options;
    return urgent ? this.#call(ask, options) : this.#gate.run(() => this.#call(ask, options), wanted);
  }

  #call<T>(ask: Ask<T>, { patience = this.patience, wanted, optional = false }: CallBehaviour): Promise<T> {
    return this.servers.ask(
      async (server, again) => ask(await this.client(server), { deadline: Date.now() + patience }, again),
      {
        isTrouble: (error): error is Error => !optional && isTrouble(error),
        wanted,
        // Requests that wait in the gate would get no other answer, only later.
        onNobody: (error) => this.#gate.refuseAll(new Error(`no member answers: ${error.message}`, { cause: error })),
      },
    );
  }

  /** The client of one member. */
  client(server: number): Promise<Etcd> {
    const client = this.#clients.get(server) ?? this.connect(this.hosts[server] ?? '');
    this.#clients.set(server, client);
    return client;
  }

  async close(): Promise<void> {
    this.servers.close();
    for (const client of await Promise.allSettled(this.#clients.values()))
      if (client.status === 'fulfilled') client.value.close();
  }
}

function isTrouble(error: unknown): boolean {
  return error instanceof Error && TROUBLE.test(error.message);
}
