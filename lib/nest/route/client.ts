import { type ExecutionContext, HttpException } from '@nestjs/common';

/** The part of a Node stream or socket that says when it is over. */
interface Closing {
  once(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
  readonly destroyed?: boolean;
  readonly closed?: boolean;
  readonly writableFinished?: boolean;
  destroy?(reason: Error): unknown;
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

/** The HTTP response of this request; `undefined` for other transports. */
export function responseOf(context: ExecutionContext): OutgoingResponse | undefined {
  const response = context.getType() === 'http' ? connectionOf(context) : undefined;
  return (
    response && {
      over: new Promise<void>((resolve) => void whenClosed(response, resolve)),
      cut: (reason) => {
        // Seen, as far as it can be.
        if (response.writableFinished !== true) response.destroy?.(reason);
      },
    }
  );
}

export interface OutgoingResponse {
  /** Resolves when it has been sent to its end, or its client has left. */
  readonly over: Promise<void>;
  /** Ends the connection, so that the client does not take what it has for the whole. */
  cut(reason: Error): void;
}

/** Who waits for a connection to close. However many do, the connection has one listener: Node warns from the eleventh on. */
const waiting = new WeakMap<Closing, Set<() => void>>();
/** A Node stream or a `ws` socket says 'close', Socket.IO 'disconnect'. */
const EVENTS = ['close', 'disconnect'];

function whenClosed(connection: Closing | undefined, run: () => void): () => void {
  if (connection === undefined) return () => {};
  if (connection.destroyed === true || connection.closed === true) {
    run();
    return () => {};
  }
  const runs = waiting.get(connection) ?? listenTo(connection);
  runs.add(run);
  return () => runs.delete(run);
}

function listenTo(connection: Closing): Set<() => void> {
  const runs = new Set<() => void>();
  waiting.set(connection, runs);
  const closed = () => {
    EVENTS.forEach((event) => connection.removeListener(event, closed));
    waiting.delete(connection);
    runs.forEach((run) => run());
  };
  EVENTS.forEach((event) => connection.once(event, closed));
  return runs;
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
