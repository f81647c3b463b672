import type { Script } from './protocol/index.js';

/** Runs a script by its digest, or by its text on a server that does not have it yet. */
export type Run = (script: Script, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/** How many replicas must have a write before it counts, and how long to wait for them. */
export interface Replicas {
  readonly count: number;
  readonly timeoutMs: number;
}

/** What the backend needs of a Redis client, whichever it is. */
export interface RedisLink {
  run: Run;
  /**
   * As `run`, but an answer that is a grant (`isGrant`) only counts when so many replicas have what was written; otherwise it
   * rejects. On a connection of its own: the server answers nothing else on it while it waits.
   */
  onReplicas(replicas: Replicas): Run;
  ping(): Promise<void>;
  /**
   * Listens to a channel on a connection of our own, which reconnects for ever. `onUp` is called each time the subscription
   * stands (again): whatever was published before that is lost. `onDown` is called when it no longer stands, with the server's
   * refusal if there was one.
   */
  listen(
    channel: string,
    onMessage: (message: string) => void,
    onUp: () => void,
    onDown: (refusal?: Error) => void,
  ): void;
  /** Stops listening to a channel, without a word to `onDown`. Only where channels are many, as in a cluster. */
  hush?(channel: string): void;
  /** In a cluster: the slot of a key. All that one script touches has to share it. */
  slotOf?(key: string): number;
  /** In a cluster: the name of the node that has the key, as far as is known. */
  nodeOf?(key: string): string | undefined;
  /** Closes what was opened here: the listening connection, and the client if it was made here. */
  close(): Promise<void>;
}

/** Redis takes whole milliseconds; a part of one is given to the holder. */
export const whole = (milliseconds: number): string => String(Math.ceil(milliseconds));

/** The server itself said no, as to a user without the right. Its errors begin with a word in capitals, as `NOPERM …` does. */
export const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && !('code' in error) && /^[A-Z]+ /.test(error.message);

export const strangeAnswer = (answer: unknown): TypeError =>
  new TypeError(`Redis answered a lock script with ${typeof answer}; is a proxy in between?`);

/** Whether this is the answer to an attempt that was granted: a token, or a list that begins with 1. */
export const isGrant = (answer: unknown): boolean => !Array.isArray(answer) || Number(answer[0]) === 1;

/** The slot of the keys is on its way to another node, and one of the two has a part of them only. */
export const isTryAgain = (error: unknown): boolean => error instanceof Error && error.message.startsWith('TRYAGAIN');

/** What tells one client library from another, whichever copy of it made the client. */
export const offers = (client: unknown, ...methods: readonly string[]): boolean =>
  typeof client === 'object' &&
  client !== null &&
  methods.every((name) => typeof Reflect.get(client, name) === 'function');
