import { Gate } from './gate.js';
import { Servers } from './servers.js';

/** How the clients of a cluster are made and understood. `C` speaks to one server. */
export interface ClusterOptions<C> {
  readonly hosts: readonly string[];
  /** How long one server is waited for, in milliseconds. */
  readonly patience: number;
  /** How many requests are on their way at once. A server answers that many in milliseconds, and thousands too late. */
  readonly atOnce: number;
  /** Makes a client that neither retries nor breaks a circuit: the cluster decides what follows from a failure. */
  connect(host: string): Promise<C>;
  hangUp(client: C): void;
  /** Whether the server could not do it. Anything else is the cluster's answer. */
  isTrouble(error: unknown): error is Error;
  /** Whether no answer came within the deadline. */
  isSilence(error: unknown): boolean;
}

export interface CallOptions {
  /** By the wall clock. */
  readonly deadline: number;
}

interface CallBehaviour {
  /** How long one server is waited for, in milliseconds. */
  readonly patience?: number;
  /** Whether the answer still matters. A request that was given up is not sent, or not to another server. */
  readonly wanted?: () => boolean;
  /** Goes ahead of the others: all locks of the process depend on it. */
  readonly urgent?: boolean;
  /** Nothing depends on the answer, so a failure does not change the server in use. */
  readonly optional?: boolean;
}

/** The client of one server, and what is known of its connection. */
interface Connection<C> {
  readonly client: Promise<C>;
  /** How many requests have no answer yet. */
  pending: number;
  /** How many answers came. */
  answered: number;
}

/** The servers of a cluster, each with a client of its own, and a bounded number of requests to the one in use. */
export class Cluster<C> {
  readonly servers: Servers;
  readonly #connections = new Map<number, Connection<C>>();
  readonly #gate: Gate;

  constructor(private readonly options: ClusterOptions<C>) {
    this.servers = new Servers(options.hosts.length);
    this.#gate = new Gate(options.atOnce);
  }

  get hosts(): readonly string[] {
    return this.options.hosts;
  }

  get patience(): number {
    return this.options.patience;
  }

  get atOnce(): number {
    return this.options.atOnce;
  }

  /**
   * @param ask sends the request to one server. `again`: a server got it before and did not answer, so it may have happened already.
   * @throws GivenUpError when it was given up before it was sent
   */
  call<T>(ask: (client: C, options: CallOptions, again: boolean) => Promise<T>, how: CallBehaviour = {}): Promise<T> {
    const { urgent = false, optional = false, wanted = () => true } = how;
    const send = (): Promise<T> =>
      this.servers.ask((server, again) => this.#send(server, how, (client, options) => ask(client, options, again)), {
        isTrouble: (error): error is Error => !optional && this.options.isTrouble(error),
        wanted,
        // Requests that wait in the gate would get no other answer, only later.
        onNobody: (error) => this.#gate.refuseAll(new Error(`no member answers: ${error.message}`, { cause: error })),
      });
    return urgent ? send() : this.#gate.run(send, wanted);
  }

  /** The client of one server. */
  client(server: number): Promise<C> {
    return this.#connection(server).client;
  }

  async close(): Promise<void> {
    this.servers.close();
    for (const client of await Promise.allSettled([...this.#connections.values()].map(({ client }) => client)))
      if (client.status === 'fulfilled') this.options.hangUp(client.value);
  }

  async #send<T>(
    server: number,
    { patience = this.patience, optional }: CallBehaviour,
    ask: (client: C, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const connection = this.#connection(server);
    const before = connection.answered;
    connection.pending++;
    try {
      const answer = await ask(await connection.client, { deadline: Date.now() + patience });
      connection.answered++;
      return answer;
    } catch (error) {
      // Nobody was answered for so long: new connections may work where this one went silent.
      const isSilent = !optional && this.options.isSilence(error) && connection.answered === before;
      if (isSilent) this.#abandon(server, connection);
      throw error;
    } finally {
      connection.pending--;
      this.#hangUpIfUnused(server, connection);
    }
  }

  #connection(server: number): Connection<C> {
    let connection = this.#connections.get(server);
    if (!connection) {
      connection = { client: this.options.connect(this.hosts[server] ?? ''), pending: 0, answered: 0 };
      this.#connections.set(server, connection);
    }
    return connection;
  }

  /** Later requests get a new connection. This one stays as long as somebody may get an answer on it. */
  #abandon(server: number, connection: Connection<C>): void {
    if (this.#connections.get(server) === connection) this.#connections.delete(server);
  }

  #hangUpIfUnused(server: number, connection: Connection<C>): void {
    if (connection.pending > 0 || this.#connections.get(server) === connection) return;
    connection.client.then(
      (client) => this.options.hangUp(client),
      () => undefined,
    );
  }
}
