import type { ClusterMap } from './cluster-map.js';
import type { IoredisNode, ShardConnection } from './cluster-node.js';
import { ownConnection, TURNED_AWAY } from './ioredis.js';
import type { Listener, Listening } from './link.js';
import { DIAL_MS } from './own-connection.js';
import { BEAT_MS, Pulse } from './pulse.js';
import { isRefusal, isUnknownCommand } from './refusals.js';
import { slotOf } from './slots.js';

interface Channel {
  readonly name: string;
  readonly on: Listener;
  readonly slot: number;
  /** Where it is subscribed to, or about to be. */
  at: Subscriber | undefined;
  /** Subscribed to without sharding. */
  plain: boolean;
}

/** A connection that listens at one node. */
interface Subscriber {
  readonly node: string;
  readonly connection: ShardConnection;
  readonly pulse: Pulse;
  readonly since: number;
  /** The node took the connection. */
  taken: boolean;
  ready: boolean;
}

/** How soon to look for a channel's place again, at first and at most. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

/**
 * Channels in a cluster. Each is subscribed to at the node that has its slot, on one connection a node; there the scripts that
 * run in that slot publish to it and learn how many heard it. With sharded pub/sub no other node is told of it; before Redis 7
 * it is a plain channel, which the cluster carries around everywhere, but is counted, and heard first, where it is published.
 *
 * A slot moves, a node dies: then the channels concerned are down, the map is looked at again, and they are put where they belong.
 */
export class ClusterInbox {
  readonly #channels = new Map<string, Channel>();
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #onRefresh = (): void => this.#checkPlaces();
  #beat: NodeJS.Timeout | undefined;
  #placing: NodeJS.Timeout | undefined;
  #pause = 0;
  #closed = false;

  constructor(private readonly map: ClusterMap) {}

  listen(name: string, on: Listener): Listening {
    const channel: Channel = { name, slot: slotOf(name), at: undefined, plain: false, on };
    this.#channels.set(name, channel);
    if (!this.#beat) {
      this.map.cluster.on('refresh', this.#onRefresh);
      this.#beat = setInterval(() => this.#look(), BEAT_MS).unref();
    }
    this.#place(channel);
    return {
      renew: () => channel.at && this.#gone(channel.at),
      close: () => {
        this.#channels.delete(name);
        this.#leave(channel);
      },
    };
  }

  /** Each connection is asked for a sign of life, and given up when there is none, or when it does not come to stand. */
  #look(): void {
    const used = [...this.#channels.values()].some(({ on }) => on.used());
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.ready) subscriber.pulse.beat(used);
      else if (performance.now() - subscriber.since > DIAL_MS) this.#gone(subscriber);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#placing);
    clearInterval(this.#beat);
    this.map.cluster.off('refresh', this.#onRefresh);
    for (const { connection } of this.#subscribers.values()) connection.disconnect();
    this.#subscribers.clear();
    this.#channels.clear();
  }

  #place(channel: Channel): void {
    const node = this.map.node(this.map.masterOf(channel.slot));
    if (!node) return this.#placeSoon();
    let subscriber = this.#subscribers.get(node.name);
    if (!subscriber) {
      subscriber = this.#connect(node.name, node.connection);
      this.#subscribers.set(node.name, subscriber);
    }
    channel.at = subscriber;
    if (subscriber.ready) this.#subscribe(channel, subscriber);
  }

  #connect(node: string, pattern: IoredisNode): Subscriber {
    // It is not reconnected: when it is gone, the slot may be elsewhere. A channel's name has no prefix, and it listens at a master.
    const options = {
      ...this.map.credentials,
      ...ownConnection,
      keyPrefix: '',
      readOnly: false,
    };
    const connection = pattern.duplicate(options);
    const gone = (why?: Error): void => this.#gone(subscriber, why);
    const pulse = new Pulse(
      () => connection.call('ping'),
      () => gone(),
    );
    const subscriber: Subscriber = { node, connection, pulse, since: performance.now(), taken: false, ready: false };
    connection.on('connect', () => {
      subscriber.taken = true;
      connection.stream?.unref?.();
    });
    connection.on('ready', () => {
      subscriber.ready = true;
      this.#pause = 0;
      for (const channel of this.#channels.values())
        if (channel.at === subscriber) this.#subscribe(channel, subscriber);
    });
    // A slot that moved away ends its subscriptions unasked, which the client tells as `moved` or, not expecting it, as an error.
    connection.on('moved', () => gone());
    connection.on('error', gone);
    connection.on('end', () => gone(subscriber.taken && !subscriber.ready ? new Error(TURNED_AWAY) : undefined));
    const hear = (name: string, message: string): void => this.#channels.get(name)?.on.message(message);
    connection.on('message', hear);
    connection.on('smessage', hear);
    connection.connect().catch(() => undefined);
    return subscriber;
  }

  #subscribe(channel: Channel, subscriber: Subscriber): void {
    const { connection } = subscriber;
    const still = (): boolean => channel.at === subscriber && this.#channels.get(channel.name) === channel;
    subscribe(connection, channel.name).then(
      (plain) => {
        if (!still()) return;
        channel.plain = plain;
        channel.on.up();
      },
      (error: unknown) => {
        if (!still()) return;
        channel.at = undefined;
        channel.on.down(isRefusal(error) ? error : undefined);
        this.#placeSoon();
      },
    );
  }

  /**
   * The connection is of no use any more: all its channels look for their place again.
   * @param why a refusal of the server's holds for a while, so who asks need not find it out by waiting
   */
  #gone(subscriber: Subscriber, why?: Error): void {
    if (this.#subscribers.get(subscriber.node) !== subscriber) return;
    this.#subscribers.delete(subscriber.node);
    subscriber.connection.disconnect();
    const lasts = why?.message === TURNED_AWAY || isRefusal(why);
    for (const channel of this.#channels.values()) {
      if (channel.at !== subscriber) continue;
      channel.at = undefined;
      channel.on.down(lasts ? why : undefined);
    }
    this.#placeSoon();
  }

  #placeSoon(): void {
    if (this.#placing || this.#closed) return;
    this.#placing = setTimeout(() => {
      void this.map.refresh().then(() => {
        this.#placing = undefined;
        for (const channel of this.#channels.values()) if (!channel.at) this.#place(channel);
      });
    }, this.#pause);
    this.#placing.unref();
    this.#pause = Math.min(Math.max(this.#pause * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
  }

  /** The map is new. Nobody tells a plain channel, or one at a master that froze, that its slot has another master now. */
  #checkPlaces(): void {
    for (const channel of this.#channels.values()) {
      const master = this.map.masterOf(channel.slot);
      if (!channel.at || master === undefined || channel.at.node === master) continue;
      this.#leave(channel);
      channel.on.down();
      this.#place(channel);
    }
    const used = new Set([...this.#channels.values()].map(({ at }) => at));
    for (const [node, subscriber] of this.#subscribers) {
      if (used.has(subscriber)) continue;
      this.#subscribers.delete(node);
      subscriber.connection.disconnect();
    }
  }

  #leave(channel: Channel): void {
    const { at } = channel;
    channel.at = undefined;
    if (!at?.ready) return;
    const over = channel.plain ? at.connection.unsubscribe(channel.name) : at.connection.sunsubscribe(channel.name);
    // Of no consequence: what still comes is not listened to.
    over.catch(() => undefined);
  }
}

/** Resolves to whether it had to be done without sharding. */
async function subscribe(connection: ShardConnection, channel: string): Promise<boolean> {
  try {
    await connection.ssubscribe(channel);
    return false;
  } catch (error) {
    if (!isUnknownCommand(error)) throw error;
    await connection.subscribe(channel);
    return true;
  }
}
