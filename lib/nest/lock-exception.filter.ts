import { type ArgumentsHost, Catch, type ExceptionFilter, HttpStatus, Inject, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { throwError } from 'rxjs';
import { LockError, type LockErrorCode } from '../lock/errors.js';

/** The answer to a client. It names no key, host or server; the error has them, for the log. */
export interface LockErrorReply {
  readonly statusCode: number;
  readonly code: LockErrorCode;
  readonly message: string;
}

const MESSAGES: Readonly<Record<LockErrorCode, string>> = {
  LOCK_TIMEOUT: 'The resource is in use. Try again later.',
  LOCK_LOST: 'The lock on the resource was lost while the request was processed. Check its state before trying again.',
  LOCK_BACKEND: 'The service is temporarily unavailable. Try again later.',
  LOCK_CLOSED: 'The service is temporarily unavailable. Try again later.',
  LOCK_CONFIG: 'Internal server error',
  LOCK_KEY: 'Internal server error',
};

/** In seconds. The next try waits in line anyway, so there is no need to guess how long the holder takes. */
const RETRY_AFTER = 1;

/**
 * Answers lock errors in every transport, by their status: 423 busy (with `Retry-After`), 409 lost, 503 no lock server or shutting down
 * (with `Retry-After`), 500 mistakes in code or configuration. HTTP gets a status and a JSON body, microservices and gateways an `error`
 * payload with the `code`, and GraphQL an error with the text and `extensions.code`.
 *
 * Without it, HTTP answers with the same status and its plain text, and Nest logs each busy key as an error. The filter logs server faults
 * (500, 503) as errors, a lost lock as a warning, and a busy key at debug level.
 *
 * ```ts
 * providers: [{ provide: APP_FILTER, useClass: LockExceptionFilter }]
 * ```
 */
@Catch(LockError)
export class LockExceptionFilter implements ExceptionFilter<LockError> {
  readonly #logger = new Logger(LockExceptionFilter.name);

  constructor(@Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: LockError, host: ArgumentsHost): unknown {
    this.#log(exception);
    const reply: LockErrorReply = {
      statusCode: exception.status,
      code: exception.code,
      message: MESSAGES[exception.code],
    };
    switch (host.getType<string>()) {
      case 'http':
        return this.#answer(host.getArgByIndex(1), reply);
      case 'rpc':
        // The payload of an `RpcException`, without its package.
        return throwError(() => ({ status: 'error', ...reply }));
      case 'ws':
        return emit(host.getArgByIndex(0), { status: 'error', ...reply });
      default:
        // GraphQL shows the message of this error.
        return Object.assign(new Error(reply.message), { extensions: { code: reply.code } });
    }
  }

  #answer(response: unknown, reply: LockErrorReply): void {
    const adapter = this.adapterHost.httpAdapter;
    if (adapter.isHeadersSent(response)) {
      adapter.end(response);
      return;
    }
    if (reply.statusCode === HttpStatus.LOCKED || reply.statusCode === HttpStatus.SERVICE_UNAVAILABLE) {
      adapter.setHeader(response, 'Retry-After', String(RETRY_AFTER));
    }
    adapter.reply(response, reply, reply.statusCode);
  }

  #log(exception: LockError): void {
    if (exception.status >= 500) this.#logger.error(exception);
    else if (exception.code === 'LOCK_LOST') this.#logger.warn(exception.message);
    else this.#logger.debug(exception.message);
  }
}

/** As Nest's own filter for gateways: `ws` sockets take text, Socket.IO takes events. */
function emit(client: { readyState?: unknown; send?: unknown; emit?: unknown }, data: object): void {
  const event = 'exception';
  if (typeof client.readyState === 'number' && typeof client.send === 'function') {
    client.send(JSON.stringify({ event, data }));
  } else if (typeof client.emit === 'function') {
    client.emit(event, data);
  }
}
