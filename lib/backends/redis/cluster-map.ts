import { asking, type IoredisNode, Node } from './cluster-node.js';
import { dialed, ownConnection } from './ioredis.js';
import { type Connection, DIAL_MS, OwnConnection } from './own-connection.js';
import type { Script } from './protocol/index.js';

/** The part of an `ioredis` cluster client (5 or 6) that is used; a `Cluster` fits. */
export interface IoredisCluster {
  /** The nodes of each slot, its master first, as `host:port`. */
  readonly slots: readonly (readonly string[] | undefined)[];
  readonly status: string;
  readonly options: {
    readonly keyPrefix?: string | undefined;
    readonly natMap?: NatMap | undefined;
    readonly redisOptions?:
      | { readonly username?: string | undefined; readonly password?: string | undefined }
      | undefined;
  };
  nodes(role: 'all' | 'master'): IoredisNode[];
  refreshSlotsCache(callback: (error?: Error | null) => void): void;
  ping(): Promise<unknown>;
  on(event: 'refresh', listener: () => void): unknown;
  off(event: 'refresh', listener: () => void): unknown;
  once(event: 'error', listener: (error: ClusterError) => void): unknown;
  off(event: 'error', listener: (error: ClusterError) => void): unknown;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** How nodes that are known to each other by one address are reached at another. */
type NatMap = Readonly<Record<string, Address>> | ((key: string) => Address | null);

interface ClusterError extends Error {
  /** What one of the nodes said, where that is why. */
  readonly lastNodeError?: Error;
}

interface AskingConnection extends Connection {
  asking(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
}

/** A node that the cluster client does not know, as a master without slots yet is: only a slot on its way leads there. */
export interface Stranger {
  readonly keyPrefix: string;
  asking: AskingConnection['asking'];
}

/** The map of the cluster: which node has which slot. It is the client's own, looked at anew whenever it turned out to be wrong. */
export class ClusterMap {
  readonly #nodes = new Map<string, Node>();
  readonly #strangers = new Map<string, OwnConnection<AskingConnection>>();
  #asked: Promise<void> | undefined;

  constructor(readonly cluster: IoredisCluster) {}

  get keyPrefix(): string {
    return this.cluster.options.keyPrefix ?? '';
  }

  /** Those of now: the client's connections have those of when they were made. */
  get credentials(): object {
    const { username, password } = this.cluster.options.redisOptions ?? {};
    return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
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
    const node = new Node(name, connection, this.keyPrefix, () => this.credentials);
    this.#nodes.set(name, node);
    return node;
  }

  /** The node at an address as the other nodes know it. */
  nodeAt(address: string): Node | undefined {
    const { host, port } = this.#reached(address);
    return this.node(`${host}:${port}`) ?? this.node(address);
  }

  /** As `nodeAt`, for one that the cluster client has no connection to. */
  stranger(address: string): Stranger | undefined {
    const [pattern] = this.cluster.nodes('all');
    if (!pattern) return undefined;
    let connection = this.#strangers.get(address);
    if (!connection) {
      const where = { ...this.#reached(address), ...ownConnection };
      connection = new OwnConnection<AskingConnection>((told) =>
        dialed(
          pattern.duplicate({ ...this.credentials, ...where }),
          told,
          async () => undefined,
          (own, base) => ({
            ...base,
            asking: (script, keys, args) => asking(own, script, keys, args),
          }),
        ),
      );
      this.#strangers.set(address, connection);
    }
    const own = connection;
    return {
      keyPrefix: pattern.options.keyPrefix ? '' : this.keyPrefix,
      asking: async (script, keys, args) => (await own.standing(DIAL_MS)).asking(script, keys, args),
    };
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
  ping(): Promise<void> {
    return (this.#asked ??= this.#ping().finally(() => (this.#asked = undefined)));
  }

  async #ping(): Promise<void> {
    const { cluster } = this;
    if (cluster.status === 'end') {
      throw new Error('the client that `redis({ client })` was given is closed. Close it after the application');
    }
    let told: (error: ClusterError) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => (told = (error) => reject(error.lastNodeError ?? error)));
    cluster.once('error', told);
    try {
      await Promise.race([cluster.ping(), failed]);
    } finally {
      cluster.off('error', told);
    }
  }

  /** The slot's master. @throws when the cluster has none */
  async find(slot: number): Promise<Node> {
    if (this.cluster.slots.length === 0) await this.ping();
    let node = this.node(this.masterOf(slot));
    if (!node) {
      if (this.cluster.status === 'end') await this.ping();
      await this.refresh();
      node = this.node(this.masterOf(slot));
    }
    if (node) return node;
    throw new Error(`no master is known for slot ${slot}; is the cluster down, or in the middle of a failover?`);
  }

  /** All masters that have slots. */
  masters(): readonly Node[] {
    const names = new Set(this.cluster.slots.map((nodes) => nodes?.[0]));
    return [...names].map((name) => this.node(name)).filter((node) => node !== undefined);
  }

  close(): void {
    for (const [name, node] of this.#nodes) this.#drop(name, node);
    for (const connection of this.#strangers.values()) connection.close();
  }

  #reached(address: string): Address {
    const { natMap } = this.cluster.options;
    const mapped = typeof natMap === 'function' ? natMap(address) : natMap?.[address];
    if (mapped) return mapped;
    const colon = address.lastIndexOf(':');
    return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
  }

  #drop(name: string, node: Node): void {
    node.close();
    this.#nodes.delete(name);
  }
}
