import { Agent as HttpAgent, type ClientRequest, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** Certificates in PEM. `{}` for those that this machine trusts. */
export interface ConsulTls {
  /** Whom to trust, instead of the certificates that this machine trusts. */
  readonly ca?: string | Uint8Array;
  /** The certificate that this process shows, where the agent asks for one (`verify_incoming`). */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** The name in the agent's certificate, if it is not the one in the URL. Often `server.<datacenter>.consul`. */
  readonly servername?: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'PUT';
  /** From the origin of the URL: `/v1/…`. */
  readonly path: string;
  readonly token: string | undefined;
  readonly body?: string | undefined;
  /** How long the connection may be silent, in milliseconds. Node starts to count when the request has a connection. */
  readonly patience: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** `X-Consul-Index`, or 0. */
  readonly index: number;
  readonly text: string;
}

/** Longer answers are cut off, so that no server can fill the memory of this process. In bytes. */
const LONGEST_ANSWER = 32 * 1024 ** 2;

/**
 * A bounded number of connections to each agent, which are used again. Node's `fetch` would open one for each request that is under
 * way, and an agent refuses the 201st of an address (`http_max_conns_per_client`).
 */
export class Connections {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(count: number, tls: ConsulTls = {}) {
    const options = { keepAlive: true, maxSockets: count, scheduling: 'lifo' } as const;
    const { ca, cert, key, servername } = tls;
    this.#http = new HttpAgent(options);
    this.#https = new HttpsAgent({
      ...options,
      ...(ca !== undefined && { ca: Buffer.from(ca) }),
      ...(cert !== undefined && { cert: Buffer.from(cert) }),
      ...(key !== undefined && { key: Buffer.from(key) }),
      ...(servername !== undefined && { servername }),
    });
  }

  /** @throws ConnectionError when there is no whole answer */
  ask(origin: URL, { method, path, token, body, patience, signal }: HttpRequest): Promise<HttpAnswer> {
    const secure = origin.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const options = {
        method,
        path,
        host: origin.hostname.replace(/^\[|\]$/g, ''),
        port: origin.port || (secure ? 443 : 80),
        timeout: patience,
        headers: {
          ...(token !== undefined && token !== '' && { 'X-Consul-Token': token }),
          ...(body !== undefined && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
        },
        ...(signal && { signal }),
      };
      const sent: ClientRequest = secure
        ? httpsRequest({ ...options, agent: this.#https })
        : httpRequest({ ...options, agent: this.#http });
      const fail = (error: Error): void => reject(new ConnectionError(origin, error, sent.reusedSocket));
      sent.on('error', fail);
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${patience} ms`)));
      sent.on('response', (response) => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on('error', fail);
        response.on('data', (part: Buffer) => {
          length += part.length;
          if (length > LONGEST_ANSWER) sent.destroy(new Error(`an answer of more than ${LONGEST_ANSWER} bytes`));
          else parts.push(part);
        });
        response.on('end', () => {
          const index = Number(response.headers['x-consul-index'] ?? 0);
          resolve({ status: response.statusCode ?? 0, index, text: Buffer.concat(parts).toString('utf8') });
        });
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

/** The request may or may not have reached the server. */
export class ConnectionError extends Error {
  /** @param stale the connection had been used before, and the server may have closed it before it saw the request */
  constructor(
    origin: URL,
    override readonly cause: Error,
    readonly stale: boolean,
  ) {
    super(`Consul at ${origin.host}: ${cause.message}`);
    this.name = 'ConnectionError';
  }

  /** Whether the connection was closed, rather than silent. */
  get closed(): boolean {
    return this.stale && 'code' in this.cause && (this.cause.code === 'ECONNRESET' || this.cause.code === 'EPIPE');
  }
}
