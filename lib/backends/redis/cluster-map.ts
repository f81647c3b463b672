import { type IoredisClient, type IoredisConnection, ownConnection, runnerOn, waitingConnection } from './ioredis.js';
import type { Replicas, Run } from './link.js';
import type { Script } from './protocol/index.js';
import { replicatedRunner } from './replicated.js';

/** The part of an `ioredis` cluster client (5 or 6) that is used; a `Cluster` fits. */
export interface IoredisCluster {
  /** The nodes of each slot, its master first, as `host:port`. */
  readonly slots: readonly (readonly string[] | undefined)[];
  readonly options: { readonly keyPrefix?: string | undefined };
  nodes(role: 'all'): IoredisNode[];
  refreshSlotsCache(callback: (error?: Error | null) => void): void;
  ping(): Promise<unknown>;
  on(event: 'refresh', listener: () => void): unknown;
  off(event: 'refresh', listener: () => void): unknown;
  once(event: 'error', listener: (error: ClusterError) => void): unknown;
  off(event: 'error', listener: (error: ClusterError) => void): unknown;
}

interface ClusterError extends Error {
  /** What one of the nodes said, where that is why. */
  readonly lastNodeError?: Error;
}

/** A connection of the cluster client to one of the nodes. */
export interface IoredisNode extends IoredisClient {
  duplicate(override?: object): ShardConnection;
  readonly status: string;
  on(event: 'connect', listener: () => void): unknown;
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
  on(event: 'ready' | 'connect' | 'close' | 'moved', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A node that left a question unanswered for so long may have been replaced: the next question looks at the map again. */
const SILENT_MS = 500;

/** A node and what is on its way to it. */
export class Node {
  readonly run: Run;
  readonly keyPrefix: string;
  #replicated: Run | undefined;
  #waiting: IoredisConnection | undefined;
  #unanswered = 0;
  #silentSince = 0;

  constructor(
    readonly name: string,
    readonly connection: IoredisNode,
    clusterPrefix: string,
  ) {
    this.run = runnerOn(connection);
    // A prefix that was given for the nodes is put on by their connections; one given for the cluster only by the cluster client.
    this.keyPrefix = connection.options.keyPrefix ? '' : clusterPrefix;
  }

  get silent(): boolean {
    return this.#unanswered > 0 && performance.now() - this.#silentSince > SILENT_MS;
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
  asking({ text }: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const asked = this.connection.call('asking');
    const answer = this.connection.eval(text, keys.length, ...keys, ...args);
    return Promise.all([answer, asked]).then(([answer]) => answer);
  }

  /** See `RedisLink.onReplicas`. */
  replicated(replicas: Replicas): Run {
    return (this.#replicated ??= replicatedRunner(
      () => waitingConnection((this.#waiting = this.connection.duplicate(ownConnection))),
      replicas,
    ));
  }

  close(): void {
    this.#waiting?.disconnect();
  }
}

/** The map of the cluster: which node has which slot. It is the client's own, looked at anew whenever it turned out to be wrong. */
export class ClusterMap {
  readonly #nodes = new Map<string, Node>();
  #asked: Promise<unknown> | undefined;

  constructor(readonly cluster: IoredisCluster) {}

  get keyPrefix(): string {
    return this.cluster.options.keyPrefix ?? '';
  }

  /** The name of the slot's master. */
  masterOf(slot: number): string | undefined {
    return this.cluster.slots[slot]?.[0];
  }

  node(name: string | undefined): Node | undefined {
    if (name === undefined) return undefined;
    const known = this.#nodes.get(name);
    // The client drops a connection that ended, and makes another when the node is back.
    if (known && known.connection.status !== 'end') return known;
    if (known) this.#drop(name, known);
    const connection = this.cluster.nodes('all').find(({ options }) => `${options.host}:${options.port}` === name);
    if (!connection || connection.status === 'end') return undefined;
    const node = new Node(name, connection, this.keyPrefix);
    this.#nodes.set(name, node);
    return node;
  }

  /** Asks the cluster for its map. Resolves when there is an answer, or none to be had. */
  refresh(): Promise<void> {
    return new Promise((resolve) =>
      this.cluster.refreshSlotsCache(() => {
        for (const [name, node] of this.#nodes) if (node.connection.status === 'end') this.#drop(name, node);
        resolve();
      }),
    );
  }

  /**
   * Asks any node. A client that has no map yet, as when it has just been made, keeps the question until it has one; what is in
   * the way it tells in events only. @throws what a node said, where there is no map because of that
   */
  async ping(): Promise<void> {
    const { cluster } = this;
    this.#asked ??= cluster.ping().finally(() => (this.#asked = undefined));
    let told: (error: ClusterError) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => (told = (error) => reject(error.lastNodeError ?? error)));
    cluster.once('error', told);
    try {
      await Promise.race([this.#asked, failed]);
    } finally {
      cluster.off('error', told);
    }
  }

  /** The slot's master. @throws when the cluster has none */
  async find(slot: number): Promise<Node> {
    if (this.cluster.slots.length === 0) await this.ping();
    let node = this.node(this.masterOf(slot));
    if (!node) {
      await this.refresh();
      node = this.node(this.masterOf(slot));
    }
    if (node) return node;
    throw new Error(`no master is known for slot ${slot}; is the cluster down, or in the middle of a failover?`);
  }

  close(): void {
    for (const [name, node] of this.#nodes) this.#drop(name, node);
  }

  #drop(name: string, node: Node): void {
    node.close();
    this.#nodes.delete(name);
  }
}
