import type { Run } from './link.js';
import { type Connection, type Dial, OwnConnection } from './own-connection.js';
import { BEAT_MS, Pulse } from './pulse.js';
import { isReadOnly } from './refusals.js';

/** A connection of ours that carries commands. */
export interface CommandConnection extends Connection {
  readonly run: Run;
  call(...words: readonly string[]): Promise<unknown>;
}

/** The client that was handed in: used as it is, neither configured nor closed. */
export interface GivenClient {
  readonly run: Run;
  call(...words: readonly string[]): Promise<unknown>;
  /** `ended`: it was closed by its owner; `coming`: it is (re)connecting, by itself or because it was asked here. */
  state(): 'ready' | 'coming' | 'ended';
  /** Calls at each of these; returns how to stop that. */
  on(event: 'ready' | 'end', listener: () => void): () => void;
}

/** What scripts and other commands go over. */
export interface Commands {
  readonly run: Run;
  call(...words: readonly string[]): Promise<unknown>;
  /** The server refused a write as a replica does: this is not the primary, or not any more. */
  moved(): void;
  close(): void;
}

/** How long a command waits for a connection that is on its way; longer would be of no use to whoever asks. */
const COMING_MS = 1_500;

const CLOSED =
  'the client that `redis({ client })` was given is not connected: `await client.connect()` before the application starts, and close it after the application, which has locks to let go of first';

/** @param onUp called whenever another connection carries the commands: what listens elsewhere may have to move as well */
export function ownCommands(dial: Dial<CommandConnection>, onUp: () => void): Commands {
  let used = false;
  const connection = new OwnConnection(dial, {
    onUp,
    used() {
      const was = used;
      used = false;
      return was;
    },
  });
  const use = (): CommandConnection | undefined => {
    used = true;
    return connection.current;
  };
  return {
    run(script, keys, args) {
      const current = use();
      if (current) return current.run(script, keys, args);
      return connection.standing(COMING_MS).then(({ run }) => run(script, keys, args));
    },
    async call(...words) {
      return (use() ?? (await connection.standing(COMING_MS))).call(...words);
    },
    moved: () => connection.renew(),
    close: () => connection.close(),
  };
}

/**
 * Commands over a client that was handed in. Nothing is put into its queue while it has no connection: there it would pile up, and be sent
 * when nobody waits for it any more. While it is silent, or stuck at a replica, a connection of ours stands in for it.
 *
 * @param dial makes the connection that stands in
 * @param onUp called whenever another connection carries the commands
 */
export function givenCommands(client: GivenClient, dial: Dial<CommandConnection>, onUp: () => void): Commands {
  let used = false;
  let stuck: 'silent' | 'moved' | undefined;
  let standIn: OwnConnection<CommandConnection> | undefined;
  let coming: Promise<void> | undefined;
  let beat: NodeJS.Timeout | undefined;
  let closed = false;

  const replace = (why: 'silent' | 'moved'): void => {
    stuck = why;
    if (closed) return;
    // No listener of ours is left with the client while all is well.
    stopListening ??= client.on('ready', () => back());
    standIn ??= new OwnConnection(dial, { onUp, used: () => used });
    standIn.open();
  };
  const back = (): void => {
    stuck = undefined;
    stopListening?.();
    stopListening = undefined;
    standIn?.close();
    standIn = undefined;
    onUp();
  };
  const pulse = new Pulse(
    () => client.call('PING'),
    () => replace('silent'),
    undefined,
    () => stuck === 'silent' && back(),
  );
  let stopListening: (() => void) | undefined;

  function look(): void {
    if (client.state() === 'ready') pulse.beat(used, Infinity);
    used = false;
  }

  function whenReady(): Promise<void> {
    return (coming ??= new Promise<void>((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer);
        for (const stop of stops) stop();
        coming = undefined;
        if (error) reject(error);
        else resolve();
      };
      const late = `the client that \`redis({ client })\` was given is not connected, and was not within ${COMING_MS} ms`;
      const timer = setTimeout(() => end(new Error(late)), COMING_MS).unref();
      const stops = [client.on('ready', () => end()), client.on('end', () => end(new Error(CLOSED)))];
    }));
  }

  /** What to use now, or what has to come first. */
  function use(): CommandConnection | GivenClient | undefined {
    used = true;
    if (!beat && !closed) beat = setInterval(look, BEAT_MS).unref();
    if (stuck && standIn?.current) return standIn.current;
    const state = client.state();
    if (state === 'ended') throw new Error(CLOSED);
    return state === 'ready' ? client : undefined;
  }

  return {
    run(script, keys, args) {
      try {
        const now = use();
        return now ? now.run(script, keys, args) : whenReady().then(() => client.run(script, keys, args));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    async call(...words) {
      const now = use();
      if (now) return now.call(...words);
      await whenReady();
      return client.call(...words);
    },
    moved() {
      if (stuck === 'moved') standIn?.renew();
      else replace('moved');
    },
    close() {
      closed = true;
      clearInterval(beat);
      stopListening?.();
      standIn?.close();
    },
  };
}

/** Tells when the server answers as a replica does. For `runner()`, which is told of each error. */
export const noticing =
  (moved: () => void) =>
  (error: unknown): unknown => {
    if (isReadOnly(error)) moved();
    return error;
  };
