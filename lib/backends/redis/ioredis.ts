import { isNoScript, type RedisLink } from './link.js';

/** The part of an `ioredis` client (5 or 6) that is used; a `Redis` fits. */
export interface IoredisClient {
  evalsha(digest: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  eval(text: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  ping(): Promise<unknown>;
  duplicate(override?: object): IoredisConnection;
}

/** A client of ours: one that we may configure, listen on and close. */
export interface IoredisConnection extends IoredisClient {
  subscribe(channel: string): Promise<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready' | 'connect', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
  readonly stream?: { unref?(): unknown } | undefined;
}

/**
 * How a connection of ours behaves: a command in flight fails at once when the connection breaks and is not sent a second time
 * by the client (the engine does that, when it still makes sense), and reconnecting goes on quickly and for ever.
 */
export const ownConnection = {
  lazyConnect: true,
  maxRetriesPerRequest: 0,
  retryStrategy: (attempt: number): number => Math.min(attempt * 50, 500),
};

/** An idle connection does not keep the process alive. Errors are what the commands' promises are for. */
export function makeQuiet(connection: IoredisConnection): void {
  connection.on('error', () => undefined);
  connection.on('connect', () => connection.stream?.unref?.());
}

export function ioredisLink(client: IoredisClient, closeClient: () => void): RedisLink {
  let subscriber: IoredisConnection | undefined;
  return {
    async run({ sha, text }, keys, args) {
      try {
        return await client.evalsha(sha, keys.length, ...keys, ...args);
      } catch (error) {
        if (!isNoScript(error)) throw error;
        return await client.eval(text, keys.length, ...keys, ...args);
      }
    },
    async ping() {
      await client.ping();
    },
    listen(channel, onMessage, onReady) {
      // Channels have no prefix: the scripts publish to them by their full name.
      const connection = client.duplicate({ ...ownConnection, keyPrefix: '', autoResubscribe: false });
      subscriber = connection;
      makeQuiet(connection);
      connection.on('message', (_, message) => onMessage(message));
      // A refusal here means that the connection broke again, and the next `ready` comes.
      connection.on('ready', () => void connection.subscribe(channel).then(onReady, () => undefined));
      connection.connect().catch(() => undefined);
    },
    async close() {
      subscriber?.disconnect();
      closeClient();
    },
  };
}
