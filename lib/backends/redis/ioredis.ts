import {
  type CommandConnection,
  type Commands,
  type GivenClient,
  givenCommands,
  noticing,
  ownCommands,
} from './commands.js';
import { type Listening, type Listener, offers, type RedisLink, type Run } from './link.js';
import { type Connection, type Dial, DIAL_MS, OwnConnection, type Told } from './own-connection.js';
import { isRefusal } from './refusals.js';
import { replicatedRunner } from './replicated.js';
import { runner } from './runner.js';

/** The part of an `ioredis` client (5 or 6) that is used; a `Redis` fits. */
export interface IoredisClient {
  readonly status: string;
  readonly options?: { readonly db?: number | undefined; readonly keyPrefix?: string | undefined } | undefined;
  evalsha(digest: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  eval(text: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  connect(): Promise<unknown>;
  on(event: 'ready' | 'end', listener: () => void): unknown;
  off(event: 'ready' | 'end', listener: () => void): unknown;
  duplicate(override?: object): IoredisConnection;
}

export const isIoredis = (client: unknown): client is IoredisClient => offers(client, 'evalsha', 'duplicate');

/** A client of ours: one that we may configure, listen on and close. */
export interface IoredisConnection {
  readonly stream?: { unref?(): unknown } | undefined;
  evalsha(digest: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  eval(text: string, keyCount: number, ...rest: (string | number)[]): Promise<unknown>;
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready' | 'connect' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}

/**
 * How a connection of ours behaves: it lives once, and a command in flight fails at once when it breaks. Dialing again, with the
 * credentials of then, and sending again, if it still makes sense, are for others.
 */
export const ownConnection = {
  lazyConnect: true,
  retryStrategy: () => null,
  reconnectOnError: null,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  commandTimeout: undefined,
  connectTimeout: DIAL_MS,
};

/** The client drops what the server says before it closes, as beyond `maxclients`, and tells of the write that then fails. */
export const TURNED_AWAY =
  'Redis took the connection and closed it at once, as it does beyond its `maxclients` (max number of clients reached)';

/** Dials a duplicate. `standing` makes it useful once it is ready. */
export function dialed<C extends IoredisConnection, T extends Connection>(
  connection: C,
  told: Told,
  standing: (connection: C) => Promise<unknown>,
  use: (connection: C, base: Connection) => T,
): T {
  let latest: Error | undefined;
  let [over, taken] = [false, false];
  connection.on('error', (error) => (latest = error));
  connection.on('connect', () => {
    taken = true;
    connection.stream?.unref?.();
  });
  connection.on('ready', () => {
    taken = false;
    // What kept it from this explains nothing any more.
    latest = undefined;
    standing(connection).then(
      () => !over && told.up(),
      (error: unknown) => {
        if (isRefusal(error)) latest = error;
        connection.disconnect();
      },
    );
  });
  connection.on('end', () => {
    if (!over) told.down(taken && !isRefusal(latest) ? new Error(TURNED_AWAY) : latest);
    over = true;
  });
  const dialing = use(connection, {
    ping: () => connection.call('ping'),
    close() {
      over = true;
      connection.disconnect();
    },
  });
  connection.connect().catch(() => undefined);
  return dialing;
}

/** Runs scripts on one connection. */
export const runnerOn = (
  client: Pick<IoredisConnection, 'eval' | 'evalsha'>,
  explained?: (error: unknown) => unknown,
): Run =>
  runner(
    (text, keys, args) => client.eval(text, keys.length, ...keys, ...args),
    (sha, keys, args) => client.evalsha(sha, keys.length, ...keys, ...args),
    explained,
  );

/** @param ready what has to be done before a connection can be used, as to choose its database */
export const commandsOf =
  (
    duplicate: () => IoredisConnection,
    explained: (error: unknown) => unknown,
    ready?: (own: IoredisConnection) => Promise<unknown>,
  ): Dial<CommandConnection> =>
  (told) =>
    dialed(duplicate(), told, ready ?? (async () => undefined), (own, base) => ({
      ...base,
      run: runnerOn(own, explained),
      call: (command = '', ...args) => own.call(command, ...args),
    }));

/** The client that was handed in. */
export const givenIoredis = (client: IoredisClient, explained: (error: unknown) => unknown): GivenClient => ({
  run: runnerOn(client, explained),
  call: (command = '', ...args) => client.call(command, ...args),
  state() {
    const { status } = client;
    if (status === 'ready') return 'ready';
    // Made with `lazyConnect`, it waits for the first command.
    if (status === 'wait') client.connect().catch(() => undefined);
    return status === 'end' ? 'ended' : 'coming';
  },
  on(event, listener) {
    client.on(event, listener);
    return () => client.off(event, listener);
  },
});

/** Whose turn comes as a message on a channel of a connection of ours. */
export function listenOver(
  duplicate: (override: object) => IoredisConnection,
  channel: string,
  on: Listener,
): Listening {
  const owner = new OwnConnection<Connection>(
    (told) =>
      dialed(
        // Channels have no prefix: the scripts publish to them by their full name.
        duplicate({ ...ownConnection, keyPrefix: '' }),
        told,
        (own) => {
          own.on('message', (_, message) => on.message(message));
          return own.subscribe(channel);
        },
        (_, base) => base,
      ),
    { used: on.used, onUp: on.up, onDown: on.down, onSilent: on.silent },
  );
  owner.open();
  return { renew: () => owner.renew(), close: () => owner.close() };
}

/** @param own makes the client ours: all goes over duplicates of it, it is never connected itself */
export function ioredisLink(client: IoredisClient, own: boolean): RedisLink {
  const listenings = new Set<Listening>();
  const others: Listening[] = [];
  const explained = noticing(() => commands.moved());
  let ups = 0;
  // The first time nothing has moved.
  const onUp = (): void => {
    if (ups++ > 0) for (const one of [...listenings, ...others]) one.renew();
  };
  // Refused, as beyond the last database or without the right, the client tells so in an event and goes on in database 0.
  const { db = 0 } = client.options ?? {};
  const select = db === 0 ? undefined : (own: IoredisConnection) => own.call('select', db);
  const dial = commandsOf(() => client.duplicate(ownConnection), explained, select);
  const commands: Commands = own ? ownCommands(dial, onUp) : givenCommands(givenIoredis(client, explained), dial, onUp);
  const { run, call, close } = commands;
  return {
    run,
    call,
    keyPrefix: client.options?.keyPrefix ?? '',
    onReplicas: (replicas) => {
      const runner = replicatedRunner(
        (told) =>
          dialed(client.duplicate(ownConnection), told, select ?? (async () => undefined), (own, base) => ({
            ...base,
            run: runnerOn(own, explained),
            wait: async (count, timeoutMs) => Number(await own.call('wait', count, timeoutMs)),
          })),
        replicas,
      );
      others.push(runner);
      return runner.run;
    },
    listen(channel, on) {
      const listening = listenOver((override) => client.duplicate(override), channel, on);
      listenings.add(listening);
      return listening;
    },
    async close() {
      for (const one of [...listenings, ...others]) one.close();
      close();
    },
  };
}
