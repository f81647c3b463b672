import { type Commands, givenCommands } from './commands.js';
import {
  commandsOf,
  dialed,
  givenIoredis,
  type IoredisClient,
  type IoredisConnection,
  ownConnection,
  runnerOn,
} from './ioredis.js';
import type { Listening, Replicas, Run } from './link.js';
import type { Script } from './protocol/index.js';
import { replicatedRunner } from './replicated.js';

/** A connection of the cluster client to one of the nodes. */
export interface IoredisNode extends Omit<IoredisClient, 'duplicate'> {
  duplicate(override?: object): ShardConnection;
  readonly options: {
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    readonly keyPrefix?: string | undefined;
  };
}

/** A connection of ours to one of the nodes. */
export interface ShardConnection extends IoredisConnection {
  ssubscribe(channel: string): Promise<unknown>;
  sunsubscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  on(event: 'message' | 'smessage', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready' | 'connect' | 'end' | 'moved', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A node that left a question unanswered for so long may have been replaced: the next question looks at the map again. */
const SILENT_MS = 500;

/** A node and what is on its way to it. */
export class Node {
  readonly keyPrefix: string;
  readonly #commands: Commands;
  readonly #duplicate: () => ShardConnection;
  #replicated: (Listening & { readonly run: Run }) | undefined;
  #unanswered = 0;
  #silentSince = 0;

  /** @param fresh options that the cluster client has by now, such as another password */
  constructor(
    readonly name: string,
    readonly connection: IoredisNode,
    clusterPrefix: string,
    fresh: () => object,
  ) {
    this.#duplicate = () => connection.duplicate({ ...fresh(), ...ownConnection });
    const same = (error: unknown): unknown => error;
    const client = { ...givenIoredis(connection, same) };
    this.#commands = givenCommands(client, commandsOf(this.#duplicate, same), () => undefined);
    // A prefix that was given for the nodes is put on by their connections; one given for the cluster only by the cluster client.
    this.keyPrefix = connection.options.keyPrefix ? '' : clusterPrefix;
  }

  get run(): Run {
    return this.#commands.run;
  }

  get silent(): boolean {
    return this.#unanswered > 0 && performance.now() - this.#silentSince > SILENT_MS;
  }

  call(...words: readonly string[]): Promise<unknown> {
    return this.#commands.call(...words);
  }

  async ask(question: () => Promise<unknown>): Promise<unknown> {
    if (this.#unanswered++ === 0) this.#silentSince = performance.now();
    try {
      return await question();
    } finally {
      this.#unanswered--;
      this.#silentSince = performance.now();
    }
  }

  /** As `run`, on a node that a slot is on its way to. */
  asking(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return asking(this.connection, script, keys, args);
  }

  /** See `RedisLink.onReplicas`. */
  replicated(replicas: Replicas): Run {
    this.#replicated ??= replicatedRunner(
      (told) =>
        dialed(
          this.#duplicate(),
          told,
          async () => undefined,
          (own, base) => ({
            ...base,
            run: runnerOn(own),
            wait: async (count, timeoutMs) => Number(await own.call('wait', count, timeoutMs)),
          }),
        ),
      replicas,
    );
    return this.#replicated.run;
  }

  close(): void {
    this.#commands.close();
    this.#replicated?.close();
  }
}

/** Asks a node that a slot is on its way to. */
export function asking(
  on: Pick<IoredisConnection, 'call' | 'eval'>,
  { text }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  const asked = on.call('asking');
  const answer = on.eval(text, keys.length, ...keys, ...args);
  return Promise.all([answer, asked]).then(([answer]) => answer);
}
