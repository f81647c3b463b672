import { type Answer, is } from './client/index.js';
import * as requests from './client/requests.js';
import type { ZooKeeperPlace } from './layout.js';

/**
 * Places that hang from no session, so that their keys stay closed for a while (`minHold`). Whoever closed a key removes its place in
 * time; if that process is gone, the first one that sees it does.
 */
export class KeptPlaces {
  /** By path. */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** @param ask on a connection that renews nobody's session */
  constructor(private readonly ask: <T>(request: requests.Request<T>) => Promise<Answer<T>>) {}

  /** In that many milliseconds from now. A failure costs a moment: waiters look again by themselves, and see it. */
  removeIn(ms: number, { path }: ZooKeeperPlace): void {
    if (this.#timers.has(path)) return;
    const timer = setTimeout(() => {
      this.#timers.delete(path);
      this.#remove(path).catch(() => undefined);
    }, Math.ceil(ms));
    this.#timers.set(path, timer.unref());
  }

  /**
   * Without the places whose time is over, which are removed, and the others in time.
   *
   * @param now a moment that has passed, by the clock that servers date nodes by
   */
  async withoutOver(places: readonly ZooKeeperPlace[], now: number): Promise<readonly ZooKeeperPlace[]> {
    const checked = await Promise.all(
      places.map(async (place) => {
        if (place.keptMs === undefined) return place;
        const left = await this.#leftOf(place, now);
        if (left > 0) {
          this.removeIn(left, place);
          return place;
        }
        await this.#remove(place.path);
        return undefined;
      }),
    );
    return checked.filter((place) => place !== undefined);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #leftOf({ path, keptMs = 0 }: ZooKeeperPlace, now: number): Promise<number> {
    try {
      const { value } = await this.ask(requests.exists(path));
      return value.ctime + keptMs - now;
    } catch (error) {
      if (is(error, 'NoNode')) return 0;
      throw error;
    }
  }

  async #remove(path: string): Promise<void> {
    await this.ask(requests.remove(path)).catch((error: unknown) => {
      if (!is(error, 'NoNode')) throw error;
    });
  }
}
