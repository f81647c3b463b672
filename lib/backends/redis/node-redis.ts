import { isRefusal, offers, type RedisLink, type Run } from './link.js';
import { replicatedRunner, type WaitingConnection } from './replicated.js';
import { runner } from './runner.js';

/** The part of a node-redis client (`redis` or `@redis/client`, 5 or 6) that is used; what `createClient()` makes fits. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly options?: { readonly socket?: object; readonly keyPrefix?: { toString(): string } } | undefined;
  sendCommand(words: readonly string[], options?: object): Promise<unknown>;
  duplicate(override?: object): NodeRedisConnection;
}

/** A client of ours: one that we may configure, listen on and close. */
export interface NodeRedisConnection {
  readonly isReady: boolean;
  sendCommand(words: readonly string[], options?: object): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  on(event: 'ready', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  unref(): void;
  destroy(): void;
}

/** The cluster, the pool and the Sentinel client of node-redis, and its version 4, lack one or the other. */
export const isNodeRedis = (client: unknown): client is NodeRedisClient =>
  offers(client, 'sendCommand', 'duplicate', 'unref', 'destroy');

/**
 * Whatever the user's client is told to make of answers, ours are what the server said. And a call has its limit of time from
 * the engine: that of the client is a timer and a listener for each command, more than the rest of the command costs.
 */
const plainly = { typeMapping: {}, timeout: undefined };

/**
 * How our duplicate differs from the user's client: an idle subscription is no dead one, nothing of it may keep the process
 * alive, and the user's cache of answers is not cleared when it reconnects. A maintenance of Redis Enterprise is a drop to it
 * like any other, because a socket that is moved over would come without `ready`.
 */
const ownConnection = {
  pingInterval: 0,
  clientSideCache: undefined,
  emitInvalidate: false,
  maintNotifications: 'disabled',
};

/** How soon to ask again after the server said no, as to a user who may not subscribe. */
const REFUSED_MS = 500;

type Send = (...words: readonly string[]) => Promise<unknown>;

/** Runs scripts on one connection. `evalSha()` of the client puts the prefix on by itself, and needs half as long again for all. */
function runnerOn(send: Send, prefix: { toString(): string } | undefined): Run {
  const rest = (keys: readonly string[], args: readonly (string | number)[]): readonly string[] => [
    String(keys.length),
    ...(prefix === undefined ? keys : keys.map((key) => `${prefix.toString()}${key}`)),
    ...args.map(String),
  ];
  return runner(
    (text, keys, args) => send('EVAL', text, ...rest(keys, args)),
    (sha, keys, args) => send('EVALSHA', sha, ...rest(keys, args)),
  );
}

export function nodeRedisLink(client: NodeRedisClient): RedisLink {
  const connections: NodeRedisConnection[] = [];
  let closed = false;
  const send: Send = (...words) => {
    if (client.isOpen) return client.sendCommand(words, plainly);
    const told =
      'the client that `redis({ client })` was given is not connected: `await client.connect()` before the application starts, and close it after the application';
    return Promise.reject(new Error(told));
  };
  /** One more connection, of our own, which reconnects until we close. */
  const connect = (
    onReady?: (own: NodeRedisConnection) => void,
    onError?: (error: Error) => void,
  ): NodeRedisConnection => {
    const reconnectStrategy = (attempt: number): number | false => !closed && Math.min((attempt + 1) * 50, 500);
    const socket = { ...client.options?.socket, socketTimeout: 0, reconnectStrategy };
    const own = client.duplicate({ ...ownConnection, socket });
    connections.push(own);
    own.unref();
    own.on('ready', () => (closed ? own.destroy() : onReady?.(own)));
    own.on('error', (error) => {
      if (!own.isReady) onError?.(error);
    });
    own.connect().catch(() => undefined);
    return own;
  };
  const prefix = client.options?.keyPrefix;
  return {
    run: runnerOn(send, prefix),
    onReplicas: (replicas) => {
      const open = (): WaitingConnection => {
        const own = connect();
        const sendThere: Send = (...words) => own.sendCommand(words, plainly);
        return {
          run: runnerOn(sendThere, prefix),
          wait: async (count, timeoutMs) => Number(await sendThere('WAIT', String(count), String(timeoutMs))),
        };
      };
      return replicatedRunner(open, replicas);
    },
    async ping() {
      await send('PING');
    },
    listen(channel, onMessage, onUp, onDown) {
      // The client subscribes again by itself before it is `ready` again; what asks anew then only learns that it stands.
      const subscribe = (own: NodeRedisConnection): void => {
        if (closed) return;
        own.subscribe(channel, onMessage).then(onUp, (error: unknown) => {
          // Otherwise the connection broke again, and the next `ready` comes.
          if (!isRefusal(error)) return;
          onDown(error);
          setTimeout(() => subscribe(own), REFUSED_MS).unref();
        });
      };
      connect(subscribe, (error) => onDown(isRefusal(error) ? error : undefined));
    },
    async close() {
      closed = true;
      // One that is just connecting ends when it is ready, or fails: destroyed before, it would leave its socket open.
      for (const connection of connections) if (connection.isReady) connection.destroy();
    },
  };
}
