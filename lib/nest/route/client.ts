import { type ExecutionContext, HttpException } from '@nestjs/common';

/** The part of a Node stream or socket that says when it is over. */
interface Closing {
  once(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
  readonly destroyed?: boolean;
  readonly closed?: boolean;
}

/** Nobody is there any more to be answered. An `HttpException`, because Nest logs those at no level. */
export class ClientLeftException extends HttpException {
  constructor() {
    super('The client left while its request waited for a lock.', 499);
  }
}

/**
 * Aborts when the client of this request disconnects, where the transport can tell.
 *
 * @returns the signal, and how to stop listening
 */
export function clientSignal(context: ExecutionContext): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const stop = whenClosed(connectionOf(context), () => controller.abort(new ClientLeftException()));
  return { signal: controller.signal, stop };
}

/** Resolves when the HTTP response has been sent to its end, or its client has left; `undefined` for other transports. */
export function responseOver(context: ExecutionContext): Promise<void> | undefined {
  const response = context.getType() === 'http' ? connectionOf(context) : undefined;
  return response && new Promise<void>((resolve) => void whenClosed(response, resolve));
}

function whenClosed(connection: Closing | undefined, run: () => void): () => void {
  if (connection === undefined) return () => {};
  if (connection.destroyed === true || connection.closed === true) {
    run();
    return () => {};
  }
  // A Node stream or a `ws` socket says 'close', Socket.IO 'disconnect'.
  const events = ['close', 'disconnect'];
  const stop = () => events.forEach((event) => connection.removeListener(event, once));
  const once = () => {
    stop();
    run();
  };
  events.forEach((event) => connection.once(event, once));
  return stop;
}

function connectionOf(context: ExecutionContext): Closing | undefined {
  switch (context.getType<string>()) {
    case 'http':
      return closing(rawOf(context.getArgByIndex(1)));
    case 'ws':
      return closing(context.getArgByIndex(0));
    case 'graphql': {
      // Apollo's context on Express and Fastify, and Mercurius's.
      const { res, reply, req } = Object(context.getArgByIndex(2));
      return closing(rawOf(res ?? reply ?? Object(req).res));
    }
    default:
      return undefined;
  }
}

/** Fastify wraps Node's response. */
function rawOf(response: unknown): unknown {
  return Object(response).raw ?? response;
}

function closing(value: unknown): Closing | undefined {
  return typeof value === 'object' && value !== null && 'once' in value && 'removeListener' in value
    ? // Seen, as far as it can be.
      (value as Closing)
    : undefined;
}
