import type { Script } from './scripts.js';

/** What the backend needs of a Redis client, whichever it is. */
export interface RedisLink {
  /** Runs a script by its digest, or by its text on a server that does not have it yet. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  ping(): Promise<void>;
  /**
   * Listens to a channel on a connection of our own, which reconnects for ever. `onUp` is called each time the subscription
   * stands (again): whatever was published before that is lost. `onDown` is called when it no longer stands, with the server's
   * refusal if there was one.
   */
  listen(channel: string, onMessage: (message: string) => void, onUp: () => void, onDown: (refusal?: Error) => void): void;
  /** Closes what was opened here: the listening connection, and the client if it was made here. */
  close(): Promise<void>;
}

export const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOSCRIPT');
