import { type CommandConnection, type Commands, type GivenClient, givenCommands, noticing } from './commands.js';
import { type Listening, offers, type RedisLink, type Run } from './link.js';
import { type Connection, DIAL_MS, OwnConnection, type Told } from './own-connection.js';
import { replicatedRunner } from './replicated.js';
import { runner } from './runner.js';

/** The part of a node-redis client (`redis` or `@redis/client`, 5 or 6) that is used; what `createClient()` makes fits. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  readonly options?: { readonly socket?: object; readonly keyPrefix?: { toString(): string } } | undefined;
  sendCommand(words: readonly string[], options?: object): Promise<unknown>;
  on(event: 'ready' | 'end', listener: () => void): unknown;
  off(event: 'ready' | 'end', listener: () => void): unknown;
  duplicate(override?: object): NodeRedisConnection;
}

/** A client of ours: one that we may configure, listen on and close. */
export interface NodeRedisConnection {
  sendCommand(words: readonly string[], options?: object): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  on(event: 'ready' | 'connect', listener: () => void): unknown;
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
 * How our duplicate differs from the user's client: its cache of answers is not cleared when ours reconnects. A maintenance of Redis
 * Enterprise is a drop to it like any other, because a socket that is moved over would come without `ready`.
 */
const ownConnection = { clientSideCache: undefined, emitInvalidate: false, maintNotifications: 'disabled' };

type Send = (...words: readonly string[]) => Promise<unknown>;

/** Runs scripts on one connection. `evalSha()` of the client puts the prefix on by itself, and needs half as long again for all. */
function runnerOn(send: Send, prefix: { toString(): string } | undefined, explained: (error: unknown) => unknown): Run {
  const rest = (keys: readonly string[], args: readonly (string | number)[]): readonly string[] => [
    String(keys.length),
    ...(prefix === undefined ? keys : keys.map((key) => `${prefix.toString()}${key}`)),
    ...args.map(String),
  ];
  return runner(
    (text, keys, args) => send('EVAL', text, ...rest(keys, args)),
    (sha, keys, args) => send('EVALSHA', sha, ...rest(keys, args)),
    explained,
  );
}

/** Dials a duplicate, which lives once. `standing` makes it useful once it is ready. */
function dialed<T extends Connection>(
  client: NodeRedisClient,
  told: Told,
  standing: (own: NodeRedisConnection) => Promise<unknown>,
  use: (own: NodeRedisConnection, base: Connection) => T,
): T {
  const socket = { connectTimeout: DIAL_MS, ...client.options?.socket, reconnectStrategy: false };
  const own = client.duplicate({ ...ownConnection, socket });
  let [over, connected] = [false, false];
  const end = (error?: Error): void => {
    // One that is just connecting ends when it is connected, or fails: destroyed before, it would leave its socket open.
    if (connected) destroy(own);
    if (!over && error) told.down(error);
    over = true;
  };
  own.unref();
  own.on('connect', () => {
    connected = true;
    if (over) destroy(own);
  });
  own.on('error', end);
  own.on('ready', () => {
    if (!over) standing(own).then(() => !over && told.up(), end);
  });
  own.connect().catch((error: unknown) => end(error instanceof Error ? error : new Error(String(error))));
  return use(own, { ping: () => own.sendCommand(['PING'], plainly), close: () => end() });
}

/** As with all of them, it may be over already. */
function destroy(own: NodeRedisConnection): void {
  try {
    own.destroy();
  } catch {
    // It was.
  }
}

const given = (client: NodeRedisClient, send: Send, run: Run): GivenClient => ({
  run,
  call: send,
  state: () => (client.isReady ? 'ready' : client.isOpen ? 'coming' : 'ended'),
  on(event, listener) {
    client.on(event, listener);
    return () => client.off(event, listener);
  },
});

/** How often an idle connection is asked for a sign of life: before the user's own `socketTimeout` takes it for dead. */
function idleMsOf({ options }: NodeRedisClient): number | undefined {
  const socketTimeout: unknown = Reflect.get(options?.socket ?? {}, 'socketTimeout');
  return typeof socketTimeout === 'number' && socketTimeout > 0 ? Math.min(5_000, socketTimeout / 2) : undefined;
}

export function nodeRedisLink(client: NodeRedisClient): RedisLink {
  const prefix = client.options?.keyPrefix;
  const looked = idleMsOf(client);
  const mine: Listening[] = [];
  const explained = noticing(() => commands.moved());
  const sendOn =
    (on: Pick<NodeRedisClient, 'sendCommand'>): Send =>
    (...words) =>
      on.sendCommand(words, plainly);
  const dial = (told: Told): CommandConnection =>
    dialed(
      client,
      told,
      async () => undefined,
      (own, base) => {
        const send = sendOn(own);
        return { ...base, run: runnerOn(send, prefix, explained), call: send };
      },
    );
  const send = sendOn(client);
  const commands: Commands = givenCommands(given(client, send, runnerOn(send, prefix, explained)), dial, () => {
    for (const one of mine) one.renew();
  });
  const { run, call, close } = commands;
  return {
    run,
    call,
    keyPrefix: prefix?.toString() ?? '',
    onReplicas: (replicas) => {
      const runner = replicatedRunner(
        (told) =>
          dialed(
            client,
            told,
            async () => undefined,
            (own, base) => {
              const send = sendOn(own);
              return {
                ...base,
                run: runnerOn(send, prefix, explained),
                wait: async (count, timeoutMs) => Number(await send('WAIT', String(count), String(timeoutMs))),
              };
            },
          ),
        replicas,
      );
      mine.push(runner);
      return runner.run;
    },
    listen(channel, on) {
      const owner = new OwnConnection<Connection>(
        (told) =>
          dialed(
            client,
            told,
            (own) => own.subscribe(channel, (message) => on.message(message)),
            (_, base) => base,
          ),
        {
          used: on.used,
          onUp: on.up,
          onDown: on.down,
          onSilent: on.silent,
          ...(looked !== undefined && { idleMs: looked }),
        },
      );
      owner.open();
      const listening = { renew: () => owner.renew(), close: () => owner.close() };
      mine.push(listening);
      return listening;
    },
    async close() {
      for (const one of mine) one.close();
      close();
    },
  };
}
