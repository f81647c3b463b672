import type { ObstacleListener } from '../line/driver.js';
import type { ConsulClient } from './client.js';
import type { ConsulPlace, Layout } from './layout.js';
import { LineWatch, type Watch } from './line-watch.js';
import { RootWatch } from './root-watch.js';

/** The longest that one blocking query stays open, in milliseconds: a connection that went silent is noticed soon after. */
const LONGEST_WAIT_MS = 10_000;

/**
 * All that this process waits for, with one blocking query for each key: that of the foremost waiter. Those behind it cannot enter
 * before it, and have theirs when it is gone; a query begins at the index at which its place was read, so none of them misses
 * anything. Keys above the limit share one query for everything.
 */
export class Watches {
  readonly #lines = new Map<string, LineWatch>();
  readonly #overflow: RootWatch;
  #following = 0;

  constructor(
    private readonly client: ConsulClient,
    private readonly layout: Layout,
  ) {
    this.#overflow = new RootWatch(client, layout);
  }

  watch(
    key: string,
    obstacles: readonly ConsulPlace[],
    ttl: number,
    listener: ObstacleListener<ConsulPlace>,
  ): () => void {
    const line = this.#lines.get(key) ?? this.#newLine(key);
    const watch: Watch = { obstacles, listener, waitMs: Math.ceil(Math.min(ttl / 2, LONGEST_WAIT_MS)) };
    line.add(watch);
    return () => {
      line.remove(watch);
      if (line.empty && this.#lines.get(key) === line) this.#end(key, line);
    };
  }

  close(): void {
    for (const line of this.#lines.values()) line.stop();
    this.#lines.clear();
    this.#overflow.close();
  }

  #newLine(key: string): LineWatch {
    const line = new LineWatch(this.client, this.layout, key);
    this.#lines.set(key, line);
    this.#follow(line);
    return line;
  }

  #follow(line: LineWatch): void {
    if (this.#following < this.client.watches) {
      this.#following++;
      line.follow();
    } else {
      this.#overflow.add(line);
    }
  }

  #end(key: string, line: LineWatch): void {
    this.#lines.delete(key);
    if (this.#overflow.remove(line)) return;
    line.stop();
    this.#following--;
    const next = this.#overflow.take();
    if (next) this.#follow(next);
  }
}
