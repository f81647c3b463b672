import type { ObstacleListener } from '../line/driver.js';
import { is, type WatchListener } from './client/index.js';
import * as requests from './client/requests.js';
import type { ZooKeeperPlace } from './layout.js';
import { CLOSING } from './nodes.js';
import type { ZooKeeperSession } from './session.js';

/** What has the number of a place in its line now, and when that was so. */
export type SuccessorOf = (
  place: ZooKeeperPlace,
) => Promise<{ readonly now: ZooKeeperPlace | undefined; readonly at: number }>;

/**
 * Watches one place on the connection of the session that waits for it, until it is gone for good. A deletion is believed only if the
 * node was read on this connection and was plain; otherwise the line is read.
 */
export class PlaceWatch implements WatchListener {
  #stopped = false;
  #plain = false;

  constructor(
    /** What the listener knows it as. */
    private readonly obstacle: ZooKeeperPlace,
    private readonly session: ZooKeeperSession,
    private readonly successorOf: SuccessorOf,
    private readonly listener: ObstacleListener<ZooKeeperPlace>,
    /** The node that has the place at present. */
    private node = obstacle,
  ) {
    this.#start();
  }

  stop(): void {
    this.#stopped = true;
    this.session.client.unwatch(this.node.path, this);
  }

  happened(type: 'deleted' | 'changed' | 'other', sure: boolean): void {
    if (this.#stopped) return;
    if (type === 'deleted' && sure && this.#plain) {
      this.#stopped = true;
      // After everything that this connection told of so far.
      this.listener.changed(this.obstacle, undefined, this.session.client.lastZxid + 1);
    } else if (type === 'other') {
      this.listener.missed();
    } else {
      this.#start(type === 'changed');
    }
  }

  #start(again = false): void {
    this.#read(again).catch((error: unknown) => {
      if (this.#stopped) return;
      // The next question waits for a connection, so this does not spin.
      if (is(error, 'ConnectionLoss')) this.#start();
      else this.listener.missed();
    });
  }

  async #read(changed: boolean): Promise<void> {
    this.#plain = false;
    try {
      const { value, at } = await this.session.ask(requests.get(this.node.path, true), this);
      if (this.#stopped) return this.session.client.unwatch(this.node.path, this);
      this.#plain = value.data.toString() !== CLOSING;
      if (changed && this.#plain) this.listener.changed(this.obstacle, this.obstacle, at);
      // All that concerns the waiter is this node, and what happened to it since was told.
      else this.listener.missed(value.stat.mzxid);
    } catch (error) {
      if (!is(error, 'NoNode')) throw error;
      await this.#follow();
    }
  }

  /** The node is gone, and whether another one has its place is not known. */
  async #follow(): Promise<void> {
    const { now, at } = await this.successorOf(this.node);
    if (this.#stopped) return;
    if (now) {
      this.node = now;
      this.#start();
    } else {
      this.#stopped = true;
    }
    this.listener.changed(this.obstacle, now, at);
  }
}
