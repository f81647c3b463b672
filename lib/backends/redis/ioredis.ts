import { isRefusal, offers, type RedisLink, type Run } from './link.js';
import { replicatedRunner, type WaitingConnection } from './replicated.js';
import { runner } from './runner.js';

/** The part of an `ioredis` client (5 or 6) that is used; a `Redis` fits. */
export interface IoredisClient {
  evalsha(digest: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  eval(text: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  ping(): Promise<unknown>;
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  readonly stream?: { unref?(): unknown } | undefined;
  duplicate(override?: object): IoredisConnection;
}

export const isIoredis = (client: unknown): client is IoredisClient => offers(client, 'evalsha', 'duplicate');

/** A client of ours: one that we may configure, listen on and close. */
export interface IoredisConnection extends IoredisClient {
  subscribe(channel: string): Promise<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready' | 'connect' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}

/**
 * How a connection of ours behaves: a command in flight fails at once when the connection breaks and is not sent a second time
 * by the client (the engine does that, when it still makes sense), and reconnecting goes on quickly and for ever.
 */
export const ownConnection = {
  lazyConnect: true,
  maxRetriesPerRequest: 0,
  retryStrategy: (attempt: number): number => Math.min(attempt * 50, 500),
  // A primary that was demoted stays connected and refuses every write; its name may lead to another server by now.
  reconnectOnError: (error: Error): boolean => error.message.startsWith('READONLY'),
};

/**
 * An idle connection does not keep the process alive. Errors are what the commands' promises are for; returns how to ask for
 * the latest, because a command that waited for the connection is only told that its retries are used up. Once it stands, what
 * kept it from that explains nothing any more: a refusal of then would be taken for the server's answer to what breaks off later.
 */
export function makeQuiet(connection: IoredisConnection): () => Error | undefined {
  let latest: Error | undefined;
  connection.on('error', (error) => (latest = error));
  connection.on('ready', () => (latest = undefined));
  connection.on('connect', () => connection.stream?.unref?.());
  return () => latest;
}

const isOutOfRetries = (error: unknown): boolean =>
  error instanceof Error && error.name === 'MaxRetriesPerRequestError';

/** Runs scripts on one connection. */
export const runnerOn = (client: IoredisClient, explained?: (error: unknown) => unknown): Run =>
  runner(
    (text, keys, args) => client.eval(text, keys.length, ...keys, ...args),
    (sha, keys, args) => client.evalsha(sha, keys.length, ...keys, ...args),
    explained,
  );

/** What `waitReplicas` goes over. */
export function waitingConnection(connection: IoredisConnection): WaitingConnection {
  const latestError = makeQuiet(connection);
  return {
    run: runnerOn(connection, (error) => explain(error, latestError)),
    wait: async (count, timeoutMs) => Number(await connection.call('wait', count, timeoutMs)),
  };
}

const explain = (error: unknown, latestError?: () => Error | undefined): unknown =>
  (isOutOfRetries(error) && latestError?.()) || error;

export function ioredisLink(
  client: IoredisClient,
  closeClient: () => void,
  latestError?: () => Error | undefined,
): RedisLink {
  const connections: IoredisConnection[] = [];
  const explained = (error: unknown): unknown => explain(error, latestError);
  return {
    run: runnerOn(client, explained),
    onReplicas: (replicas) =>
      replicatedRunner(() => {
        const connection = client.duplicate(ownConnection);
        connections.push(connection);
        return waitingConnection(connection);
      }, replicas),
    async ping() {
      try {
        await client.ping();
      } catch (error) {
        throw explained(error);
      }
    },
    listen(channel, onMessage, onUp, onDown) {
      // Channels have no prefix: the scripts publish to them by their full name.
      const connection = client.duplicate({ ...ownConnection, keyPrefix: '', autoResubscribe: false });
      connections.push(connection);
      makeQuiet(connection);
      connection.on('message', (_, message) => onMessage(message));
      connection.on('ready', () => {
        connection.subscribe(channel).then(onUp, (error: unknown) => {
          // Otherwise the connection broke again, and the next `ready` comes.
          if (isRefusal(error)) onDown(error);
        });
      });
      connection.on('close', () => onDown());
      connection.connect().catch(() => undefined);
    },
    async close() {
      for (const connection of connections) connection.disconnect();
      closeClient();
    },
  };
}
