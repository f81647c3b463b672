import type { Script } from './protocol/index.js';

/** Runs a script by its digest, or by its text on a server that does not have it yet. */
export type Run = (script: Script, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/** How many replicas must have a write before it counts, and how long to wait for them. */
export interface Replicas {
  readonly count: number;
  readonly timeoutMs: number;
}

export interface Listener {
  message(message: string): void;
  /** The subscription stands (again): whatever was published before that is lost. */
  up(): void;
  /** It no longer stands, or still does not; with the reason, if that will hold for a while. */
  down(reason?: Error): void;
  /** Nothing comes on it, and there is no other yet. It may be called more than once. */
  silent(): void;
  /** Whether somebody waits for a message. */
  used(): boolean;
}

/** A connection of ours that is looked after until it is closed. */
export interface Listening {
  /** It may stand in the wrong place, or be silent: a fresh one takes its place as soon as that stands. */
  renew(): void;
  close(): void;
}

/** What the backend needs of a Redis client, whichever it is. */
export interface RedisLink {
  run: Run;
  /** One command to the server, or in a cluster to one of its nodes. */
  call(...words: readonly string[]): Promise<unknown>;
  /** To each master that has keys: how to send it a command. */
  masters?(): Promise<readonly ((...words: readonly string[]) => Promise<unknown>)[]>;
  /**
   * As `run`, but an answer that is a grant (`isGrant`) only counts when so many replicas have what was written; otherwise it
   * rejects. On a connection of its own: the server answers nothing else on it while it waits.
   */
  onReplicas(replicas: Replicas): Run;
  /** Listens to a channel on a connection of our own. */
  listen(channel: string, on: Listener): Listening;
  /** The user's prefix for keys, which the client puts on by itself. */
  readonly keyPrefix?: string;
  /** In a cluster: the slot of a key. All that one script touches has to share it. */
  slotOf?(key: string): number;
  /** In a cluster: the name of the node that has the key, as far as is known. */
  nodeOf?(key: string): string | undefined;
  /** Closes what was opened here, never a client that was handed in. */
  close(): Promise<void>;
}

/** Redis takes whole milliseconds; a part of one is given to the holder. */
export const whole = (milliseconds: number): string => String(Math.ceil(milliseconds));

/** Whether this is the answer to an attempt that was granted: a token, or a list that begins with 1. */
export const isGrant = (answer: unknown): boolean => !Array.isArray(answer) || Number(answer[0]) === 1;

/** What tells one client library from another, whichever copy of it made the client. */
export const offers = (client: unknown, ...methods: readonly string[]): boolean =>
  typeof client === 'object' &&
  client !== null &&
  methods.every((name) => typeof Reflect.get(client, name) === 'function');
