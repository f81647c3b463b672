import { written } from './json.js';
import { Servers } from '../line/servers.js';
import { ConnectionError, Connections, type ConsulTls, type HttpAnswer } from './http.js';

/** A token, or a function that gives the present one. It is called for each request, so tokens may rotate. */
export type ConsulToken = string | (() => string | Promise<string>);

export interface ClientOptions {
  readonly urls: readonly URL[];
  readonly token: ConsulToken | undefined;
  readonly datacenter: string | undefined;
  readonly tls: ConsulTls | undefined;
  /** How long one agent may be silent before the next is asked, in milliseconds. */
  readonly patience: number;
  readonly connections: number;
  readonly watches: number;
}

export interface Question {
  readonly method: 'GET' | 'PUT';
  /** Below `/v1`, percent-encoded, such as `/session/create`. */
  readonly path: string;
  /** A flag such as `consistent` is the empty string. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Less than the client's own patience, in milliseconds. */
  readonly patience?: number;
  /** It must not wait behind other requests. */
  readonly urgent?: boolean;
}

/** A blocking query: it is answered when something changed, or after this many milliseconds. */
export interface WaitingQuestion extends Question {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * How late the answer to a blocking query may be: the server adds up to a sixteenth, and a busy one takes its time. It is short where
 * the session is, because a connection that went silent must be noticed before a session could end.
 */
const lateness = (waitMs: number): number => waitMs * 0.1 + Math.min(waitMs / 4, 1_000);

/** Consul's HTTP API, at one agent or at several that stand for each other. */
export class ConsulClient {
  readonly #requests: Connections;
  readonly #waiting: Connections;
  readonly #urgent: Connections;
  readonly #agents: Servers;

  constructor(private readonly options: ClientOptions) {
    this.#requests = new Connections(options.connections, options.tls);
    // Blocking queries would otherwise take all connections, and a release could not be sent.
    this.#waiting = new Connections(options.watches + 1, options.tls);
    // Nor may a renewal wait behind thousands of other requests.
    this.#urgent = new Connections(1, options.tls);
    this.#agents = new Servers(options.urls.length);
  }

  /** How long one agent may be silent, in milliseconds. */
  get patience(): number {
    return this.options.patience;
  }

  /** How many blocking queries may be open. One more is for the watch over everything. */
  get watches(): number {
    return this.options.watches;
  }

  /**
   * Asks the agent in use, and the next one when that fails. `build` hears whether an earlier request of this call may have reached a
   * server, so that the question can be written to be harmless the second time.
   *
   * @returns an answer with one of these statuses
   * @throws ConsulError for any other status
   * @throws ConnectionError when no agent answered
   */
  ask(build: (again: boolean) => Question, statuses: readonly number[] = [200]): Promise<HttpAnswer> {
    const once = (agent: number, again: boolean): Promise<HttpAnswer> => {
      const question = build(again);
      return this.#send(question.urgent ? this.#urgent : this.#requests, agent, question, statuses);
    };
    let resent = false;
    const send = async (agent: number, again: boolean): Promise<HttpAnswer> => {
      try {
        return await once(agent, again || resent);
      } catch (error) {
        // The agent closed a connection that nobody used. That says nothing of the agent, so it is asked once more.
        if (resent || this.#agents.closed || !(error instanceof ConnectionError && error.closed)) throw error;
        resent = true;
        return once(agent, true);
      }
    };
    return this.#agents.ask(send, { isTrouble });
  }

  /** Asks a blocking query of the agent in use, once. It has connections of its own. */
  async wait(question: WaitingQuestion): Promise<HttpAnswer> {
    const used = this.#agents.current;
    const { waitMs, signal } = question;
    const query = { ...question.query, wait: `${waitMs}ms` };
    const patience = Math.ceil(waitMs + lateness(waitMs));
    try {
      return await this.#send(this.#waiting, used, { ...question, query, patience }, [200, 404], signal);
    } catch (error) {
      if (isTrouble(error) && !signal.aborted) this.#agents.leave(used);
      throw error;
    }
  }

  close(): void {
    this.#agents.close();
    this.#requests.close();
    this.#waiting.close();
    this.#urgent.close();
  }

  async #send(
    connections: Connections,
    number: number,
    { method, path, query, body, patience = this.options.patience }: Question,
    statuses: readonly number[],
    signal?: AbortSignal,
  ): Promise<HttpAnswer> {
    const { urls, token, datacenter } = this.options;
    const [url] = urls.slice(number);
    if (!url) throw new Error('no Consul agent is known');
    const names = Object.entries({ ...query, ...(datacenter !== undefined && { dc: datacenter }) });
    const search = names
      .map(([name, value]) => (value === '' ? name : `${name}=${encodeURIComponent(value)}`))
      .join('&');
    const answer = await connections.ask(url, {
      method,
      path: `${url.pathname.replace(/\/$/, '')}/v1${path}${search && `?${search}`}`,
      token: typeof token === 'function' ? await token() : token,
      body: body === undefined ? undefined : written(body),
      patience,
      signal,
    });
    if (!statuses.includes(answer.status)) throw new ConsulError(answer.status, answer.text, url.host);
    return answer;
  }
}

/** The agent answered, but not with what was asked for. */
export class ConsulError extends Error {
  constructor(
    readonly status: number,
    readonly text: string,
    host: string,
  ) {
    const said = `${status}: ${text.trim().slice(0, 200)}`;
    const denied = status === 403 || text.includes('Permission denied') || text.includes('ACL not found');
    super(
      denied
        ? `Consul at ${host} refused the token (${said}): give it the rights that the backend needs.`
        : `Consul at ${host} answered ${said}${text.includes('Invalid Session TTL') ? TTL_ADVICE : ''}`,
    );
    this.name = 'ConsulError';
  }
}

const TTL_ADVICE = '. Give `sessionTtlMin` what `session_ttl_min` says in the configuration of your servers.';

/** The agent, or the server behind it, could not do it. Anything else is the cluster's answer. */
function isTrouble(error: unknown): error is Error {
  return error instanceof ConnectionError || (error instanceof ConsulError && error.status >= 500);
}
